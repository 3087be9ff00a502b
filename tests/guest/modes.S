/*
 * Code of the modes guest that runs below 1 MiB, in 16-bit segments, and the ways there and back.  What lies between
 * low_start and low_end is copied to LOW; results go to RESULTS.
 */
#define LOW 0x8000
#define LOW_SEGMENT 0x800
#define RESULTS 0x7800
#define AT(label) (label - low_start + LOW)
#define IN(label) (label - low_start)
#define CS16 0x40
#define DS16 0x48
#define CS64 0x80

        .section .note.GNU-stack, "", @progbits
        .text
        .code32
/* void real_run(u32 place): calls the 16-bit code at 0:place in real mode. */
        .global real_run
real_run:
        pushal
        movl 36(%esp), %eax
        movl %eax, AT(real_entry)
        movl %esp, saved_esp
        sidt saved_idt
        lidt real_idt
        ljmp $CS16, $AT(leave_protected)
back32:
        movl $0x10, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %fs
        movl %eax, %gs
        movl %eax, %ss
        movl saved_esp, %esp
        lidt saved_idt
        popal
        ret

/* void long_run(u32 cr3): through compatibility mode to 64-bit mode, and all the way back. */
        .global long_run
long_run:
        pushal
        movl 36(%esp), %ebx
        movl %esp, saved_esp
        movl %cr4, %eax
        orl $0x20, %eax
        movl %eax, %cr4
        movl %ebx, %cr3
        movl $0xc0000080, %ecx
        rdmsr
        orl $0x100, %eax
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax
        movl %eax, %cr0
        jmp 1f
1:      rdmsr
        movl %eax, RESULTS              /* EFER in compatibility mode */
        xorl %eax, %eax
        .byte 0x40                      /* inc %eax; REX in 64-bit mode */
        movl %eax, RESULTS + 4
        ljmp $CS64, $long64
        .code64
long64: movabs $0x123456789abcdef0, %rax
        mov %rax, RESULTS + 8
        mov %rax, %r15
        mov $0x55555555, %eax           /* clears the upper half */
        mov %rax, RESULTS + 16
        xor %r14d, %r14d
        mov %cs, %r14d
        mov %r14, RESULTS + 24
        push %rax                       /* by 8 */
        mov %esp, RESULTS + 32
        pop %rax
        lea long64(%rip), %rbx
        mov $long64, %ecx
        sub %rcx, %rbx
        mov %rbx, RESULTS + 40
        pushq $CS16                     /* to 16-bit code in compatibility mode */
        pushq $AT(compat16)
        lretq
back64: mov %r15, RESULTS + 48          /* what compatibility mode does not reach stays */
        pushq $8
        lea 1f(%rip), %rax
        push %rax
        lretq
        .code32
1:      movl %cr0, %eax
        andl $0x7fffffff, %eax
        movl %eax, %cr0
        movl $0xc0000080, %ecx
        rdmsr
        movl %eax, RESULTS + 56         /* LMA is gone, LME is not */
        andl $~0x100, %eax
        wrmsr
        movl %cr4, %eax
        andl $~0x20, %eax
        movl %eax, %cr4
        movl saved_esp, %esp
        popal
        ret

        .data
        .align 16
saved_esp: .long 0
saved_idt: .skip 8
real_idt: .word 0x3ff
        .long 0

        .global low_start, low_end
low_start:
        .code16
real_entry: .long 0
leave_protected:
        movw $DS16, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %gs
        movw %ax, %ss
        movw $0x10, %ax                 /* FS keeps 4 GiB: "unreal" mode */
        movw %ax, %fs
        movl %cr0, %eax
        andl $~1, %eax
        movl %eax, %cr0
        ljmp $0, $AT(real)
real:   xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7000, %sp
        call *AT(real_entry)
        cli
        movl %cr0, %eax
        orl $1, %eax
        movl %eax, %cr0
        ljmpl $8, $back32

        .global compat16
compat16:
        movw $0x10, %ax
        movw %ax, %ss
        movl $0x6000, %esp
        pushw $0x4321
        popw %ax
        addr32 movw %ax, %ss:RESULTS + 60
        ljmpl $CS64, $back64

/* 16-bit code in protected mode, called from 32-bit code. */
        .global pm16
pm16:   movl $0x89abcdef, %eax
        movw $0x1234, %ax
        pushw %ax
        popw %cx
        leal (%eax, %eax), %edx
        lretl

/* ---- real mode ---- */

        .global real_basics, real_fault, real_recover, real_vector, real_ip, real_fault_code
real_basics:
        movw %cs, RESULTS
        movw %sp, RESULTS + 2
        pushw %sp
        popw RESULTS + 4
        smsw RESULTS + 6
        ljmp $LOW_SEGMENT, $IN(1f)
1:      movw %cs, RESULTS + 8
        ljmp $0, $AT(1f)
1:      movw $0xffff, %bx               /* DS:BX is linear 10FFEFh with DS = FFFFh */
        pushw %ds
        movw $0x780, %ax
        movw %ax, %ds
        movw $0x4242, 10
        popw %ds
        stc
        pushfw
        popw RESULTS + 12
        int $0x60
        movw %bx, RESULTS + 20
        movl $0x100000, %ebx
        addr32 movl %fs:(%ebx), %eax    /* beyond 64 KiB */
        movl %eax, RESULTS + 24
        movw $0x1000, %ax
        movw %ax, %fs
        movl $0xf0000, %ebx
        addr32 movl %fs:(%ebx), %eax    /* base 10000h; the limit stays */
        movl %eax, RESULTS + 28
        call 1f
1:      popw %ax
        subw $AT(1b), %ax
        movw %ax, RESULTS + 32
        movl $0x12345678, %eax
        pushl %eax
        movw %sp, RESULTS + 34
        addw $4, %sp
        ret
        .global int60
int60:  movw %sp, %bp
        movw (%bp), %ax
        movw %ax, RESULTS + 14
        movw 2(%bp), %ax
        movw %ax, RESULTS + 16
        movw 4(%bp), %ax
        movw %ax, RESULTS + 18
        movw $0x6060, %bx
        iret

/* Calls what real_fault_code names; the handlers end it. */
real_fault:
        movw %sp, real_sp - low_start + LOW
        xorw %bp, %bp
        call *AT(real_fault_code)
        movw $-1, AT(real_vector)
        ret
real_caught:
        movw AT(real_sp), %sp
        ret
real_fault_code: .long 0
real_vector: .word 0
real_ip: .word 0
real_sp: .word 0

#define CATCH(n)                                                                                                       \
        .global real_catch_##n; real_catch_##n: popw AT(real_ip); movw $n, AT(real_vector); jmp real_caught
        CATCH(0)
        CATCH(4)
        CATCH(5)
        CATCH(6)
        CATCH(12)
        CATCH(13)

#define CASE(name) .global name; name:
CASE(r_divide)
        xorw %cx, %cx
        divw %cx
CASE(r_into)
        movb $0x7f, %al
        incb %al
1:      into
        ret
CASE(r_bound)
        movw $9, %ax
        boundw %ax, AT(bounds)
        ret
bounds: .word 1, 8
CASE(r_ud2)
        ud2
CASE(r_lldt)
        lldt %ax
        ret
CASE(r_arpl)
        .byte 0x63, 0xc0
        ret
CASE(r_lar)
        larw %ax, %ax
        ret
CASE(r_limit)
        movw 0xffff, %ax
        ret
CASE(r_limit32)
        movl $0x10000, %ebx
        addr32 movb (%ebx), %al
        ret
CASE(r_limit_stack)
        movw $0xffff, %bp
        movw (%bp), %ax
        ret
CASE(r_nothing)
        ret

/* Port 92h switches address line 20: FFFF:(RESULTS + 32 + 16) is RESULTS + 32 without it. */
        .global real_a20
real_a20:
        movw $0xffff, %ax
        movw %ax, %es
        inb $0x92, %al
        movb %al, %bl
        andb $0xfe, %al
        andb $~2, %al
        outb %al, $0x92
        movw $0x1111, RESULTS + 32
        movw %es:RESULTS + 32 + 16, %ax
        movw %ax, RESULTS
        movw $0x2222, %es:RESULTS + 32 + 16
        movw RESULTS + 32, %ax
        movw %ax, RESULTS + 2
        movb %bl, %al
        orb $2, %al
        andb $0xfe, %al
        outb %al, $0x92
        movw $0x3333, RESULTS + 32
        movw %es:RESULTS + 32 + 16, %ax
        movw %ax, RESULTS + 4
        movw $0x4444, RESULTS + 32
        movw %es:RESULTS + 32 + 16, %ax
        movw %ax, RESULTS + 6
        ret

/* ---- virtual-8086 mode: CS = LOW_SEGMENT; each ends with ud2 unless it faults before ---- */

CASE(v_int)
        int $0x60
        ud2
CASE(v_int3)
        int3
        ud2
CASE(v_cli)
        cli
        ud2
CASE(v_sti)
        sti
        ud2
CASE(v_pushf)
        pushfw
        popw %ax
        ud2
CASE(v_pushfd)
        pushfl
        popl %eax
        ud2
CASE(v_popf)
        pushw $0x3202
        popfw
        ud2
CASE(v_iret)
        pushw $0x0202
        pushw $LOW_SEGMENT
        pushw $IN(v_ud2)
CASE(v_iret_itself)
        iretw
CASE(v_ud2)
        ud2
CASE(v_hlt)
        hlt
CASE(v_in_allowed)
        inb $0x80, %al
        ud2
CASE(v_in_refused)
        inb $0x81, %al
        ud2
CASE(v_lldt)
        lldt %ax
CASE(v_mov_cr)
        movl %cr0, %eax
CASE(v_segments)
        movw $0x780, %ax
        movw %ax, %es
        movw $0x5678, %es:2
        movw 2, %bx                     /* DS is 780h too */
        ud2
CASE(v_limit)
        movw 0xffff, %ax
CASE(v_redirected)
        stc
        int $0x60
        ud2
/* The 8086 program's own handler. */
CASE(v_handler)
        movw %sp, %bp
        movw 4(%bp), %dx                /* flags image */
        movw (%bp), %si                 /* ip */
        pushfw
        popw %di
        iretw
low_end:
