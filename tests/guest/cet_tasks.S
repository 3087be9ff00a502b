/* Code of the CET tests in 32-bit mode: of another task, behind a call gate, and the way out of level 3. */
        .section .note.GNU-stack, "", @progbits
        .text
        .global other_task, behind_gate, leave_entry
other_task:
        rdsspd %eax
        mov %eax, inner_ssp
        iret
behind_gate:
        rdsspd %eax
        mov %eax, inner_ssp
        lret
leave_entry:
        push %eax
        push %ecx
        push %edx
        mov $0x6a2, %ecx
        xor %eax, %eax
        xor %edx, %edx
        wrmsr
        pop %edx
        pop %ecx
        pop %eax
        jmp trap_stubs + 16 * 0x81
        .data
        .align 8
        .global inner_ssp
inner_ssp: .long 0
