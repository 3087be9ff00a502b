/*
 * A boot sector for sessions with debuggers: from real mode with a code segment of its own (07C0h) through protected to
 * long mode, with a function in each, and writes to a variable at the end.
 */
        .text
        .code16
        .globl _start
_start: cli
        xorw %ax, %ax
        movw %ax, %ss
        movw $0x7000, %sp
        xorw %bp, %bp
        ljmp $0x7c0, $(real_begin - _start)
        .globl real_begin
real_begin:
        movw $0x7c0, %ax
        movw %ax, %ds
        movw $0x0700, %ax               /* a stack with a base: 7000h:6000h below */
        movw %ax, %ss
        movw $0x600, %sp
        callw real_function
        lgdtl (gdt_pointer - _start)
        movl %cr0, %eax
        orb $1, %al
        movl %eax, %cr0
        .globl protected_switch
protected_switch:
        ljmpl $8, $protected_begin

        .globl real_function
real_function:
        pushw %bp
        movw %sp, %bp
        callw real_inner
        popw %bp
        retw
        .globl real_inner
real_inner:
        pushw %bp
        movw %sp, %bp
        movw $0x1234, %cx
        nop
        popw %bp
        retw

        .code32
        .globl protected_begin
protected_begin:
        movw $16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $0x7000, %esp
        movl %esp, %ebp                 /* 0 would be the end of all frames to gdb */
        call protected_function
        movl $0x10000, %edi             /* PML4, PDPT, PD: 2 MiB at 0 */
        movl %edi, %cr3
        xorl %eax, %eax
        movl $0xc00, %ecx
        cld
        rep stosl
        movl $0x11003, 0x10000
        movl $0x12003, 0x11000
        movl $0x83, 0x12000
        movl $0x20, %eax
        movl %eax, %cr4
        movl $0xc0000080, %ecx
        rdmsr
        orb $1, %ah
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax
        movl %eax, %cr0
        .globl long_switch
long_switch:
        ljmp $24, $long_begin
        .globl protected_function
protected_function:
        push %ebp
        movl %esp, %ebp
        movl $0x55aa, %edx
        pop %ebp
        ret

        .code64
        .globl long_begin
long_begin:
        movabs $0x123456789abcdef0, %r8
        call long_function
1:      incl counter                    /* (a symbol here would be a function to gdb, which the call did not come from) */
        movl counter, %eax
        pause
        jmp 1b
        .globl long_function
long_function:
        push %rbp
        mov %rsp, %rbp
        mov $0x77, %r9d
        nop
        pop %rbp
        ret

        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .long gdt
        .balign 4
        .globl counter
counter:
        .long 0
        .org 510
        .word 0xaa55
