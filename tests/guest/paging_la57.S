/*
 * set_paging(top, la57): leaves long mode, sets CR3 and CR4.LA57 (bit 12), and enters it again.  CR4.LA57 cannot change
 * within (SDM vol. 3A 4.1.2).  Code, data and stack are mapped one to one before and after.
 */
        .section .note.GNU-stack, "", @progbits
        .text
        .global set_paging
set_paging:
        push %rbx
        push $0x38                      /* KERNEL_CS32 */
        push $1f
        lretq
        .code32
1:      movl %cr0, %eax
        andl $0x7fffffff, %eax
        movl %eax, %cr0
        movl %edi, %cr3
        movl %cr4, %edx
        andl $~0x1000, %edx
        testl %esi, %esi
        jz 2f
        orl $0x1000, %edx
2:      movl %edx, %cr4
        movl %cr0, %eax
        orl $0x80000000, %eax
        movl %eax, %cr0
        ljmpl $8, $3f
        .code64
3:      pop %rbx
        ret
