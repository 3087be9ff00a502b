/*
 * The bare rows: work_NAME(n), a C function, does n times what rows.def says.  ROW name, rounds ... NEXT is a loop of n
 * times `rounds`; what stands between may change eax to edi.  R(ax) is eax or rax, W the size of it.
 */
#include "tests/bench/micro.h"

        .section .note.GNU-stack, "", @progbits
#ifdef __x86_64__
#define R(name) %r##name
#define W 8
#define WORD .quad
#define IRET iretq
#define MOVS_WIDE movsq
#define STOS_WIDE stosq
#else
#define R(name) %e##name
#define W 4
#define WORD .long
#define IRET iretl
#define MOVS_WIDE movsl
#define STOS_WIDE stosl
#endif

        .macro ROW name, rounds
        .text
        .align 64
        .global work_\name
work_\name:
        push R(bp)
        push R(bx)
        push R(si)
        push R(di)
#ifdef __x86_64__
        imul $\rounds, %edi, %ebp
#else
        imul $\rounds, 20(%esp), %ebp
#endif
        lea scratch, R(bx)
1:
        .endm

        .macro LEAVE
        pop R(di)
        pop R(si)
        pop R(bx)
        pop R(bp)
        ret
        .endm

        .macro NEXT
        dec %ebp
        jnz 1b
        LEAVE
        .endm

/* ---- arithmetic ---- */

        ROW loop, 512
        NEXT

        ROW alu, 64
        .rept 4
        add R(dx), R(ax)
        xor R(ax), R(cx)
        shl $3, R(dx)
        lea 7(R(dx), R(cx), 2), R(dx)
        .endr
        NEXT

        ROW flags, 64
        add R(ax), R(cx)
        adc R(cx), R(dx)
        sbb R(dx), R(ax)
        setc %al
        cmovnc R(cx), R(si)
        seto %cl
        adc $0, R(si)
        cmovs R(ax), R(dx)
        NEXT

        ROW mul, 64
        .rept 4
        imul R(cx), R(ax)
        mul R(cx)
        .endr
        NEXT

        ROW div, 64
        mov $12345, %ecx
        .rept 4
        xor %edx, %edx
        div %ecx
        add $0x7654321, %eax
        .endr
        NEXT

        ROW shift, 64
        mov %ebp, %ecx
        .rept 2
        shl %cl, R(ax)
        ror %cl, R(dx)
        shr %cl, R(si)
        rol %cl, R(di)
        .endr
        NEXT

/* ---- memory ---- */

        ROW load, 64
        .set at, 0
        .rept 8
        mov at(R(bx)), R(ax)
        add 128 + at(R(bx)), R(dx)
        .set at, at + 16
        .endr
        NEXT

        ROW store, 64
        .set at, 0
        .rept 16
        mov R(ax), at(R(bx))
        .set at, at + 8
        .endr
        NEXT

        ROW stack, 64
        .rept 4
        push R(ax)
        push R(dx)
        pop R(ax)
        pop R(dx)
        .endr
        NEXT

        .macro STRING name, rounds, count, instruction:vararg
        ROW \name, \rounds
        mov $from, R(si)
        mov $to, R(di)
        mov $\count, %ecx
        \instruction
        NEXT
        .endm
        STRING repmovs, 1, 65536 / W, rep MOVS_WIDE
        STRING repmovsb, 1, 4096, rep movsb
        STRING repshort, 64, 12, rep movsb
        STRING repstos, 1, 65536 / W, rep STOS_WIDE

        ROW lock, 64
        .rept 4
        lock xadd R(ax), (R(bx))
        .endr
        NEXT

/* ---- control ---- */

        ROW call, 64
        .rept 8
        call 2f
        .endr
        NEXT
2:      ret

        ROW callfar, 64
        .rept 8
        call elsewhere
        .endr
        NEXT

        ROW deep, 32
        mov $32, %ecx
        call 2f
        NEXT
2:      dec %ecx
        jz 3f
        call 2b
3:      ret

        ROW icall, 64
        .rept 8
        inc %eax
        and $3, %eax
        call *targets(, R(ax), W)
        .endr
        NEXT
        .irp n, 0, 1, 2, 3
target\n: lea \n(R(dx)), R(dx)
        ret
        .endr

/* Which case follows is a matter of a linear congruential generator. */
        ROW ijump, 512
        mov $1, %eax
        jmp case0
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7
case\n: dec %ebp
        jz 2f
        imul $1664525, %eax, %eax
        add $1013904223 + \n, %eax
        mov %eax, %ecx
        shr $29, %ecx
        jmp *cases(, R(cx), W)
        .endr
2:      LEAVE

        .data
        .align 64
targets: WORD target0, target1, target2, target3
cases:  WORD case0, case1, case2, case3, case4, case5, case6, case7

/* ---- floating point and vectors: scratch holds small numbers ---- */

        ROW x87, 64
        .rept 2
        fldl (R(bx))
        fmull 8(R(bx))
        faddl 16(R(bx))
        fstpl 24(R(bx))
        .endr
        NEXT

        ROW sse, 64
        .rept 2
        movaps 64(R(bx)), %xmm0
        mulps 80(R(bx)), %xmm0
        shufps $0x1b, %xmm0, %xmm1
        addps %xmm0, %xmm2
        .endr
        NEXT

        ROW sse2, 64
        movsd (R(bx)), %xmm0
        mulsd 8(R(bx)), %xmm0
        addsd 16(R(bx)), %xmm0
        divsd 8(R(bx)), %xmm0
        subsd (R(bx)), %xmm0
        ucomisd %xmm0, %xmm1
        cvttsd2si %xmm0, %eax
        movsd %xmm0, 24(R(bx))
        NEXT

        ROW sseint, 64
        movdqa (R(bx)), %xmm0
        paddd %xmm1, %xmm0
        pxor %xmm0, %xmm2
        psrld $3, %xmm2
        punpcklbw %xmm0, %xmm1
        pcmpeqb %xmm2, %xmm1
        pmovmskb %xmm1, %eax
        movdqa %xmm2, 32(R(bx))
        NEXT

/* ---- paging ---- */

        ROW walk, 64
        mov walk_at, R(si)
        .rept 16
        mov (R(si)), R(si)
        .endr
        mov R(si), walk_at
        NEXT

        ROW fault_loop, 16
        mov $MISSING, R(bx)
        mov (R(bx)), %eax               /* two bytes, which page_fault skips */
        NEXT

        .global page_fault
page_fault:
        add $W, R(sp)
#ifdef __x86_64__
        addq $2, (%rsp)
#else
        addl $2, (%esp)
#endif
        IRET

        ROW invlpg, 16
        mov $WINDOW, R(bx)
        invlpg (R(bx))
        mov (R(bx)), %eax
        NEXT

        ROW switch, 8
        mov $WINDOW, R(bx)
        .irp space, spaces + 4096, spaces
        mov $\space, R(ax)
        mov R(ax), %cr3
        .irp k, 0, 1, 2, 3, 4, 5, 6, 7
        mov \k * 4096(R(bx)), %edx
        .endr
        .endr
        NEXT

/* ---- privilege and interrupts ---- */

        ROW fastcall_loop, 64
#ifdef __x86_64__
        syscall
#else
        mov %esp, %ecx
        mov $2f, %edx
        sysenter
2:
#endif
        NEXT

        .global fastcall_entry
fastcall_entry:
#ifdef __x86_64__
        sysretq
#else
        sysexit
#endif

        ROW softint_loop, 16
        int $VECTOR
        NEXT

        .global int_entry
int_entry:
        IRET

/* ---- code that changes ---- */

        ROW smc, 16
        mov %ebp, code_page + 1
        call code_page
        NEXT

        ROW codedata, 16
        .rept 4
        mov %ebp, code_page + 1024
        .endr
        call code_page
        NEXT

        .global code_page
        .data
        .align 4096
code_page:
        mov $0, %eax
        ret
        .skip 4096 - (. - code_page)

        .text
        .align 4096
elsewhere:
        ret

/* ---- what leaves the fast path of every emulator ---- */

        ROW cpuid, 16
        xor %eax, %eax
        cpuid
        NEXT

        ROW port, 64
        in $0x21, %al
        NEXT

        ROW mmio, 64
        mov $0xfee00030, %ebx           /* version */
        mov (R(bx)), %eax
        NEXT
