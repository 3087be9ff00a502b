/*
 * Entries of the IDT for tests with CET in the supervisor: each begins with ENDBR64, notes SSP and IA32_S_CET, turns
 * CET off in the supervisor, and goes on as the library does, whose code knows nothing of it.
 */
        .section .note.GNU-stack, "", @progbits
        .text
        .align 16
        .global cet_entries
cet_entries:
        .set vector, 0
        .rept 256
        .align 64
        endbr64
        push %rax
        push %rcx
        push %rdx
        xor %eax, %eax
        rdsspq %rax
        mov %rax, entry_ssp
        mov $0x6a2, %ecx
        rdmsr
        mov %eax, entry_s_cet
        xor %eax, %eax
        xor %edx, %edx
        wrmsr
        pop %rdx
        pop %rcx
        pop %rax
        jmp trap_stubs + 16 * vector
        .set vector, vector + 1
        .endr

/* An interrupt handler that does nothing but return, with CET as it is. */
        .align 16
        .global plain_handler
plain_handler:
        endbr64
        rdsspq %rax
        mov %rax, entry_ssp
        iretq

/* Where SYSCALL goes. */
        .global syscall_handler
syscall_handler:
        endbr64
        mov $-1, %rax
        rdsspq %rax
        mov %rax, syscall_ssp
        sysretq

/* Targets of branches: each sets RAX.  The second has no ENDBR64 at its beginning. */
        .align 4096
        .global marked, unmarked, with_int3
marked:
        endbr64
        mov $1, %eax
        ret
unmarked:
        mov $2, %eax
        ret
with_int3:
        int3
        ret
        .align 4096

/* 32-bit code for level 3: EBX what CALL has pushed, ESI and EDI SSP within and after, EBP the return address. */
        .code32
        .global compat_code
compat_code:
        call 1f
0:      rdsspd %edi
        int $0x81
1:      rdsspd %esi
        mov (%esi), %ebx
        mov $0b, %ebp
        ret
        .code64
        .data
        .align 8
        .global entry_ssp, entry_s_cet, syscall_ssp
entry_ssp: .quad 0
entry_s_cet: .quad 0
syscall_ssp: .quad 0
