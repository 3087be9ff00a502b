/*
 * The 256 interrupt entry points, each 16 bytes from the next; setjmp and its way back, which is an IRET so that NMIs
 * are let in again.
 */
        .section .note.GNU-stack, "", @progbits
        .text
        .align 16
        .global trap_stubs
trap_stubs:
        .set vector, 0
        .rept 256
        .align 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        push $0
        .endif
        push $vector
        jmp trap_common
        .set vector, vector + 1
        .endr

#ifdef __x86_64__
trap_common:
        push %rax
        push %rcx
        push %rdx
        push %rbx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rsp, %rdi
        mov %rsp, %rbp
        and $-16, %rsp
        cld
        call trap_handle
        mov %rbp, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rbx
        pop %rdx
        pop %rcx
        pop %rax
        add $16, %rsp
        iretq

        .global guest_setjmp
guest_setjmp:
        mov (%rsp), %rdx
        mov %rdx, context
        lea 8(%rsp), %rdx
        mov %rdx, context + 8
        mov %rbx, context + 16
        mov %rbp, context + 24
        mov %r12, context + 32
        mov %r13, context + 40
        mov %r14, context + 48
        mov %r15, context + 56
        xor %eax, %eax
        ret

        .global guest_unwind
guest_unwind:
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %fs
        mov %eax, %gs
        mov %eax, %ss
        mov context + 8, %rsp
        push $2
        popf
        mov context + 8, %rax
        push $0x10
        push %rax
        push $2
        push $8
        push context
        mov context + 16, %rbx
        mov context + 24, %rbp
        mov context + 32, %r12
        mov context + 40, %r13
        mov context + 48, %r14
        mov context + 56, %r15
        mov $1, %eax
        iretq
#else
trap_common:
        pushal
        push %ds
        push %es
        push %fs
        push %gs
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        cld
        push %esp
        call trap_handle
        add $4, %esp
        pop %gs
        pop %fs
        pop %es
        pop %ds
        popal
        add $8, %esp
        iret

        .global guest_setjmp
guest_setjmp:
        mov (%esp), %edx
        mov %edx, context
        lea 4(%esp), %edx
        mov %edx, context + 4
        mov %ebx, context + 8
        mov %ebp, context + 12
        mov %esi, context + 16
        mov %edi, context + 20
        xor %eax, %eax
        ret

        .global guest_unwind
guest_unwind:
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %fs
        mov %eax, %gs
        mov %eax, %ss
        mov context + 4, %esp
        push $2
        popf
        push $2
        push $8
        push context
        mov context + 8, %ebx
        mov context + 12, %ebp
        mov context + 16, %esi
        mov context + 20, %edi
        mov $1, %eax
        iret
#endif
        .bss
        .align 16
context: .skip 64
