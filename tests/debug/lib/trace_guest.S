/*
 * The guest of tests/debug/trace: rounds without end of a short and a long loop (1 to 3), a function in another page,
 * and a software interrupt.  32-bit, by Multiboot.
 */
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002

        .section .note.GNU-stack, "", @progbits
        .text
        .code32
        .global _start, rounds
_start:
        movl $stack_top, %esp
        xorl %ebp, %ebp
        lgdtl gdt_register
        ljmpl $8, $1f
1:      movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %ss
        movl $handler, %eax
        movw %ax, idt + 0x80 * 8
        shrl $16, %eax
        movw %ax, idt + 0x80 * 8 + 6
        movw $8, idt + 0x80 * 8 + 2
        movw $0x8e00, idt + 0x80 * 8 + 4
        lidtl idt_register
        pushl $0
        pushl $0
        movl %esp, %ebp
rounds:
        call short_work
        call long_work
        movl $far_work, %eax
        call *%eax
        int $0x80
        jmp rounds

short_work:
        pushl %ebp
        movl %esp, %ebp
        movl $10000, %ecx
1:      decl %ecx
        jnz 1b
        popl %ebp
        ret

long_work:
        pushl %ebp
        movl %esp, %ebp
        movl $30000, %ecx
1:      decl %ecx
        jnz 1b
        popl %ebp
        ret

handler:
        iret

        .balign 4096
far_work:
        testl $1, counter
        jz 1f
        nop
1:      incl counter
        ret

        .data
        .balign 8
gdt:    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_register:
        .word 23
        .long gdt
idt_register:
        .word 0x81 * 8 - 1
        .long idt
counter:
        .long 0

        .bss
        .balign 8
idt:    .skip 0x81 * 8
        .skip 4096
stack_top:
