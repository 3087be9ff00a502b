/*
 * A firmware image of 64 KiB for the processors before SeaBIOS's: it finds out by the classic ways which one it runs
 * on (Intel AP-485), and checks what that one does otherwise than the next.  For -bios; text goes to COM1.
 *
 * A check is a value in AX (BX, DX, SI and DI are lost), compared with one of six words: for the 8086, 186, 286, 386,
 * 486 without CPUID, and later.
 */
        .code16
        .arch i8086
        .section .note.GNU-stack, "", @progbits
        .text

#define COM1 0x3f8
#define EXIT_PORT 0xf4
#define SKIP 0xdead
#define NONE 0xff               /* no exception */

/* Variables, in segment 0, as SS and (but for moments) DS and ES are. */
#define GEN 0x500               /* generation: 0..5 */
#define VECTOR 0x502            /* of the exception that came */
#define SAVED_IP 0x504
#define SAVED_FLAGS 0x506
#define RECOVER 0x508           /* where to go on */
#define FAILURES 0x50a
#define RESET_DX 0x50c
#define HAS_FPU 0x50e           /* 1: yes */
#define SCRATCH 0x510

/* Exceptions from here on lead to the label. */
        .macro try recover
        movb $NONE, %ss:VECTOR
        movw $\recover, %ss:RECOVER
        .endm
        .macro got_vector
        movb %ss:VECTOR, %al
        movb $0, %ah
        .endm
        .macro expect name, w0, w1, w2, w3, w4, w5
        call check
        .word \w0, \w1, \w2, \w3, \w4, \w5
        .asciz "\name"
        .endm
        .macro only_8086 otherwise
        cmpw $0, GEN
        jne \otherwise
        .endm
        .macro since generation, otherwise
        cmpw $\generation, GEN
        jb \otherwise
        .endm
/* Executes the bytes; AX is the exception that comes of it. */
        .macro undefined bytes:vararg
        try 9f
        .byte \bytes
9:      got_vector
        .endm

start:
        cli
        cld
        mov %dx, %di
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %ss
        mov $0x7000, %sp
        mov %di, RESET_DX
        movw $0, FAILURES
        call vectors_set
        call identify
        call identify_fpu
        call check_flags
        call check_stack
        call check_arithmetic
        call check_8086
        call check_undefined
        call check_wraps
        call check_system
        call check_fpu
        mov $summary, %si
        call print
        mov FAILURES, %ax
        call print_hex
        call print_newline
        mov FAILURES, %ax
        cmp $0, %ax
        je 1f
        mov $1, %al
1:      mov $EXIT_PORT, %dx
        out %al, %dx
2:      jmp 2b
summary: .asciz "SUMMARY: failures "

/* ---- text ---- */

put_char:
        push %dx
        mov $COM1, %dx
        out %al, %dx
        pop %dx
        ret
/* CS:SI up to NUL; SI is left behind it. */
print:
        mov %cs:(%si), %al
        inc %si
        cmp $0, %al
        je 1f
        call put_char
        jmp print
1:      ret
print_newline:
        mov $10, %al
        jmp put_char
print_hex:
        push %cx
        push %bx
        mov %ax, %bx
        mov $4, %cx
1:      push %cx
        mov $4, %cl
        rol %cl, %bx
        pop %cx
        mov %bl, %al
        and $15, %al
        add $'0', %al
        cmp $'9', %al
        jbe 2f
        add $39, %al
2:      call put_char
        loop 1b
        pop %bx
        pop %cx
        ret

check:
        pop %si
        mov GEN, %bx
        add %bx, %bx
        mov %cs:(%bx,%si), %dx
        add $12, %si
        cmp $SKIP, %dx
        je 3f
        mov %ax, %di
        cmp %dx, %ax
        jne 1f
        mov $text_pass, %bx
        jmp 2f
1:      mov $text_fail, %bx
        incw FAILURES
2:      xchg %bx, %si
        call print
        mov %bx, %si
        call print
        cmp %dx, %di
        je 4f
        mov $':', %al
        call put_char
        mov $' ', %al
        call put_char
        mov %di, %ax
        call print_hex
        mov $'/', %al
        call put_char
        mov %dx, %ax
        call print_hex
4:      call print_newline
        jmp *%si
3:      mov %cs:(%si), %al
        inc %si
        cmp $0, %al
        jne 3b
        jmp *%si
text_pass: .asciz "PASS "
text_fail: .asciz "FAIL "

/* ---- exceptions ---- */

        .macro stub n
stub\n: movb $\n, %ss:VECTOR
        jmp trap
        .endm
        .irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        stub \n
        .endr
trap:
        popw %ss:SAVED_IP
        popw %ss:SCRATCH
        popw %ss:SAVED_FLAGS
        xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        jmp *%ss:RECOVER
stub_table: .word stub0, stub1, stub2, stub3, stub4, stub5, stub6, stub7
        .word stub8, stub9, stub10, stub11, stub12, stub13, stub14, stub15
vectors_set:
        mov $stub_table, %si
        xor %di, %di
        mov $16, %cx
1:      mov %cs:(%si), %ax
        add $2, %si
        stosw
        mov %cs, %ax
        stosw
        loop 1b
        ret

/* ---- which processor ---- */

text_is: .asciz "IS "
name_table: .word name0, name1, name2, name3, name4, name5
name0:  .asciz "8086"
name1:  .asciz "80186"
name2:  .asciz "80286"
name3:  .asciz "80386"
name4:  .asciz "80486"
name5:  .asciz "CPUID family "
text_fpu: .asciz ", FPU "

identify:
        call generation
        mov %bx, GEN
        mov $text_is, %si
        call print
        add %bx, %bx
        mov %cs:name_table(%bx), %si
        call print
        cmpw $5, GEN
        jne 1f
        .arch i586
        mov $1, %eax
        cpuid
        .arch i8086
        mov $8, %cl
        shr %cl, %ax
        and $15, %al
        add $'0', %al
        call put_char
1:      ret

/* BX: 0..5.  AP-485, section 5 and the example at its end. */
generation:
        xor %bx, %bx
        pushf
        pop %ax
        and $0x0fff, %ax                /* clear bits 15:12 */
        push %ax
        popf
        pushf
        pop %ax
        and $0xf000, %ax
        cmp $0xf000, %ax                /* they stay set: 8086 or 186 */
        jne 1f
        mov $33, %cl                    /* the 186 takes this for 1 */
        mov $-1, %ax
        shl %cl, %ax
        cmp $0, %ax
        je 2f
        inc %bx
2:      ret
1:      mov $2, %bl
        mov $0xf000, %ax                /* set bits 15:12 */
        push %ax
        popf
        pushf
        pop %ax
        and $0xf000, %ax                /* they stay clear: 286 in real mode */
        je 2b
        inc %bx
        .arch i486
        mov $0x40000, %ecx              /* AC */
        call flag_changes
        je 2b
        inc %bx
        mov $0x200000, %ecx             /* ID */
        call flag_changes
        je 2b
        inc %bx
        ret
/* ZF: the flag of ECX cannot be changed. */
flag_changes:
        pushfl
        pop %eax
        mov %eax, %edx
        xor %ecx, %eax
        push %eax
        popfl
        pushfl
        pop %eax
        push %edx
        popfl
        xor %edx, %eax
        and %ecx, %eax
        ret
        .arch i8086

identify_fpu:
        movw $0, HAS_FPU
        .arch .8087
        fninit
        movw $0x5a5a, SCRATCH
        fnstsw SCRATCH
        cmpb $0, SCRATCH
        jne 1f
        fnstcw SCRATCH
        .arch i8086
        mov SCRATCH, %ax
        and $0x103f, %ax
        cmp $0x3f, %ax
        jne 1f
        movw $1, HAS_FPU
1:      mov $text_fpu, %si
        call print
        mov HAS_FPU, %al
        add $'0', %al
        call put_char
        jmp print_newline

/* ---- flags ---- */

check_flags:
        xor %ax, %ax
        push %ax
        popf
        pushf
        pop %ax
        expect "PUSHF after POPF of zeros", 0xf002, 0xf002, 2, 2, 2, 2
        mov $0xf000, %ax
        push %ax
        popf
        pushf
        pop %ax
        expect "PUSHF after POPF of F000", 0xf002, 0xf002, 2, 0x7002, 0x7002, 0x7002
        pushf
        mov $0x0002, %ax
        mov %sp, %bp
        mov %ax, (%bp)                  /* IRET to the next instruction with these flags */
        push %cs
        mov $1f, %ax
        push %ax
        iret
1:      pushf
        pop %ax
        expect "PUSHF after IRET of zeros", 0xf002, 0xf002, 2, 2, 2, 2
        mov $0x7002, %ax
        push %ax
        push %cs
        mov $1f, %ax
        push %ax
        iret
1:      pushf
        pop %ax
        expect "PUSHF after IRET of 7002", 0xf002, 0xf002, 2, 0x7002, 0x7002, 0x7002
        xor %ax, %ax
        push %ax
        popf
        try 1f
        int $3
1:      mov SAVED_FLAGS, %ax
        expect "flags that INT 3 pushes", 0xf002, 0xf002, 2, 2, 2, 2
        since 3, 2f
        .arch i486
        mov $0x240000, %eax
        push %eax
        popfl
        pushfl
        pop %eax
        pushl $2
        popfl
        shr $16, %eax
        expect "POPFD of AC and ID", SKIP, SKIP, SKIP, 0, 4, 0x24
        pushfl
        orl $0x240000, (%esp)
        pushw $0
        push %cs
        pushl $1f
        iretl
1:      pushfl
        pop %eax
        pushl $2
        popfl
        shr $16, %eax
        expect "IRETD of AC and ID", SKIP, SKIP, SKIP, 0, 4, 0x24
        .arch i8086
2:      ret

/* ---- stack ---- */

check_stack:
        mov %sp, %bx
        push %sp
        pop %ax
        sub %bx, %ax
        expect "PUSH SP", -2, -2, 0, 0, 0, 0
        mov %sp, %bx
        .byte 0xff, 0xf4
        pop %ax
        sub %bx, %ax
        expect "PUSH SP by FF /6", -2, -2, 0, 0, 0, 0
        ret

/* ---- arithmetic ---- */

check_arithmetic:
        mov $33, %cl
        mov $0x1234, %ax
        shl %cl, %ax
        expect "SHL by 33", 0, 0x2468, 0x2468, 0x2468, 0x2468, 0x2468
        mov $0xff, %cl
        mov $0x8421, %ax
        rol %cl, %ax
        expect "ROL by 255", 0xc210, 0xc210, 0xc210, 0xc210, 0xc210, 0xc210
        mov $36, %cl
        mov $0x8001, %ax
        stc
        rcr %cl, %ax
        expect "RCR by 36", 0xe000, 0x3800, 0x3800, 0x3800, 0x3800, 0x3800
        mov $40, %cl
        movw $0x8000, SCRATCH
        sarw %cl, SCRATCH
        mov SCRATCH, %ax
        expect "SAR of memory by 40", 0xffff, 0xff80, 0xff80, 0xff80, 0xff80, 0xff80
        stc
        .byte 0xd6
        mov $0, %ah
        expect "SALC", 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
        try 1f
        xor %dx, %dx
        mov $1, %ax
        xor %bx, %bx
2:      div %bx                         /* two bytes */
1:      got_vector
        expect "DIV by zero is interrupt 0", 0, 0, 0, 0, 0, 0
        mov SAVED_IP, %ax
        sub $2b, %ax
        expect "address that a divide error saves", 2, 2, 0, 0, 0, 0
        try 1f
        mov $-128, %ax
        mov $1, %bl
        idiv %bl
1:      got_vector
        expect "IDIV with quotient -128", 0, 0, NONE, NONE, NONE, NONE
        try 1f
        mov $-1, %dx
        mov $0x8000, %ax
        mov $1, %bx
        idiv %bx
1:      got_vector
        expect "IDIV with quotient -32768", 0, 0, NONE, NONE, NONE, NONE
        ret

/* ---- what only the 8086 decodes so ---- */

check_8086:
        only_8086 9f
        try 9f
        mov $1, %ax
        xor %bx, %bx                    /* ZF */
        .byte 0x64, 3                   /* JE */
        mov $2, %ax
        expect "64 is JE", 1, SKIP, SKIP, SKIP, SKIP, SKIP
        mov $1, %ax
        cmp $0, %ax
        .byte 0x64, 3
        mov $2, %ax
        expect "64 is JE, not taken", 2, SKIP, SKIP, SKIP, SKIP, SKIP
        call 1f
        mov $3, %ax
        expect "C1 is RET", 3, SKIP, SKIP, SKIP, SKIP, SKIP
        jmp 2f
1:      .byte 0xc1
2:      push %ax
        call 1f
        mov $4, %ax
        expect "C0 is RET imm16", 4, SKIP, SKIP, SKIP, SKIP, SKIP
        jmp 2f
1:      .byte 0xc0, 2, 0
2:      push %cs
        call 1f
        mov $5, %ax
        expect "C9 is RETF", 5, SKIP, SKIP, SKIP, SKIP, SKIP
        jmp 2f
1:      .byte 0xc9
2:      mov $0xf001, %ax                /* CS = F001: the same code 16 bytes lower */
        push %ax
        .byte 0x0f                      /* POP CS */
        .skip 16, 0x90
        mov %cs, %ax
        .byte 0xea                      /* JMP FAR, back */
        .word 1f, 0xf000
1:      expect "0F is POP CS", 0xf001, SKIP, SKIP, SKIP, SKIP, SKIP
        mov $0xf001, %ax
        .byte 0x8e, 0xc8                /* MOV CS, AX */
        .skip 16, 0x90
        mov %cs, %ax
        .byte 0xea
        .word 1f, 0xf000
1:      expect "MOV to CS", 0xf001, SKIP, SKIP, SKIP, SKIP, SKIP
        .byte 0x8c, 0xe0                /* MOV AX, by register 4 */
        expect "8C /4 is MOV from ES", 0, SKIP, SKIP, SKIP, SKIP, SKIP
        xor %ax, %ax
        .byte 0xd1, 0xf0                /* SETMO AX */
        expect "D1 /6 sets all bits", 0xffff, SKIP, SKIP, SKIP, SKIP, SKIP
        mov $0x1357, %ax
        .byte 0xff, 0xf8                /* PUSH AX */
        pop %bx
        mov %bx, %ax
        expect "FF /7 is PUSH", 0x1357, SKIP, SKIP, SKIP, SKIP, SKIP
        .byte 0xf1, 0xf0, 0x90          /* LOCK LOCK NOP */
        .byte 0xfe, 0xff
        got_vector
        expect "nothing is undefined", NONE, SKIP, SKIP, SKIP, SKIP, SKIP
9:      ret

/* ---- what is not there yet: interrupt 6 ---- */

check_undefined:
        since 1, 8f
        undefined 0x0f, 0xff, 0xc0
        expect "0F FF", SKIP, 6, 6, 6, 6, 6
        undefined 0x8e, 0xc8
        expect "MOV to CS is undefined", SKIP, 6, 6, 6, 6, 6
        undefined 0x0f, 0x01, 0xe3                      /* SMSW BX */
        expect "SMSW", SKIP, 6, NONE, NONE, NONE, NONE
        undefined 0x66, 0x90
        expect "operand size prefix", SKIP, 6, 6, NONE, NONE, NONE
        undefined 0x64, 0x90
        expect "FS prefix", SKIP, 6, 6, NONE, NONE, NONE
        undefined 0x0f, 0xb6, 0xd9                      /* MOVZX BX, CL */
        expect "MOVZX", SKIP, 6, 6, NONE, NONE, NONE
        undefined 0x0f, 0x81, 0x00, 0x00                /* JNO near */
        expect "near JNO", SKIP, 6, 6, NONE, NONE, NONE
        undefined 0x0f, 0x20, 0xc3                      /* MOV EBX, CR0 */
        expect "MOV from CR0", SKIP, 6, 6, NONE, NONE, NONE
        undefined 0x0f, 0xc1, 0xdb                      /* XADD BX, BX */
        expect "XADD", SKIP, 6, 6, 6, NONE, NONE
        undefined 0x0f, 0xb1, 0xdb                      /* CMPXCHG BX, BX */
        expect "CMPXCHG", SKIP, 6, 6, 6, NONE, NONE
        undefined 0x66, 0x0f, 0xcb                      /* BSWAP EBX */
        expect "BSWAP", SKIP, 6, 6, 6, NONE, NONE
        undefined 0x0f, 0x08                            /* INVD */
        expect "INVD", SKIP, 6, 6, 6, NONE, NONE
        undefined 0x0f, 0x01, 0x3e, 0x00, 0x05          /* INVLPG */
        expect "INVLPG", SKIP, 6, 6, 6, NONE, NONE
        undefined 0x0f, 0xa2                            /* CPUID */
        expect "CPUID", SKIP, 6, 6, 6, 6, NONE
        undefined 0x0f, 0x20, 0xe3                      /* MOV EBX, CR4 */
        expect "MOV from CR4", SKIP, 6, 6, 6, 6, NONE
        try 1f
        .byte 0xf0, 0x90                                /* LOCK NOP */
1:      got_vector
        expect "LOCK NOP", SKIP, NONE, NONE, 6, 6, 6
        try 1f
        mov $0x123, %ax
        .byte 0xc1, 0xe0, 4                             /* SHL AX, 4 */
        expect "SHL by an immediate", SKIP, 0x1230, 0x1230, 0x1230, 0x1230, 0x1230
1:      ret
8:      ret

/* ---- wraps ---- */

check_wraps:
        movw $0x1111, 0x600             /* 0:0600 and FFFF:0610 */
        mov $0xffff, %ax
        mov %ax, %es
        movw $0x2222, %es:0x610
        xor %ax, %ax
        mov %ax, %es
        mov 0x600, %ax
        expect "FFFF:0610", 0x2222, 0x2222, 0x1111, 0x1111, 0x1111, 0x1111
        in $0x92, %al
        and $0xfc, %al                  /* A20 off */
        out %al, $0x92
        mov $0xffff, %ax
        mov %ax, %es
        movw $0x3333, %es:0x610
        xor %ax, %ax
        mov %ax, %es
        mov 0x600, %bx
        in $0x92, %al
        or $2, %al
        and $0xfe, %al
        out %al, $0x92
        mov %bx, %ax
        expect "FFFF:0610 without A20", 0x3333, 0x3333, 0x3333, 0x3333, 0x3333, 0x3333

        mov $0x1000, %ax
        mov %ax, %ds
        movb $0x34, 0xffff
        movb $0x12, 0
        try 1f
        mov 0xffff, %bp
1:      xor %ax, %ax
        mov %ax, %ds
        got_vector
        expect "word at FFFF", NONE, NONE, 13, 13, 13, 13
        cmpb $NONE, VECTOR
        jne 5f
        mov %bp, %ax
        expect "what it holds", 0x1234, 0x1234, SKIP, SKIP, SKIP, SKIP
5:      mov $0x1000, %ax
        mov %ax, %ds
        try 1f
        movw $0x5678, 0xffff
        incw 0xffff
1:      xor %ax, %ax
        mov %ax, %ds
        got_vector
        expect "word written at FFFF", NONE, NONE, 13, 13, 13, 13
        mov $0x1000, %ax
        mov %ax, %ds
        mov 0xffff, %al
        mov 0, %ah
        mov %ax, %bx
        xor %ax, %ax
        mov %ax, %ds
        mov %bx, %ax
        expect "what it then holds", 0x5679, 0x5679, 0x1234, 0x1234, 0x1234, 0x1234

        mov $0x2000, %ax                /* INC BP at FFFE and FFFF, RETF at 0 */
        mov %ax, %ds
        movw $0x4545, 0xfffe
        movb $0xcb, 0
        xor %ax, %ax
        mov %ax, %ds
        xor %bp, %bp
        mov %sp, SCRATCH + 2
        try 1f
        .byte 0x9a                      /* CALL FAR */
        .word 0xfffe, 0x2000
1:      mov %ss:SCRATCH + 2, %sp
        got_vector
        expect "IP beyond FFFF", NONE, NONE, 13, 13, 13, 13
        mov %bp, %ax
        expect "instructions before that", 2, 2, 2, 2, 2, 2
        ret

/* ---- reset values, control registers ---- */

check_system:
        mov RESET_DX + 1, %al
        mov $0, %ah
        expect "DH after reset", 0, 0, 0, 3, 4, SKIP
        since 2, 9f
        .arch i286
        sidt SCRATCH
        mov SCRATCH, %ax
        expect "limit of the IDT", SKIP, SKIP, 0x3ff, 0x3ff, 0x3ff, SKIP
        mov SCRATCH + 5, %al
        mov $0, %ah
        expect "last byte that SIDT stores", SKIP, SKIP, 0xff, 0, 0, 0
        smsw %ax
        and $0xffef, %ax                /* ET is another matter */
        expect "MSW", SKIP, SKIP, 0xffe0, 0, 0, 0
        .arch i8086
        since 3, 9f
        .arch i486
        mov %cr0, %eax
        mov %eax, %edx
        or $0x10000, %eax               /* WP */
        mov %eax, %cr0
        mov %cr0, %eax
        mov %edx, %cr0
        shr $16, %eax
        and $1, %ax
        expect "CR0.WP", SKIP, SKIP, SKIP, 0, 1, 1
        .arch i8086
9:      ret

/* ---- FPU ---- */

check_fpu:
        cmpw $0, HAS_FPU
        jne 1f
        mov $0x1234, %ax
        .arch i286
        .arch .287
        fnstsw %ax
        .arch i8086
        expect "FNSTSW AX without an FPU", 0x1234, 0x1234, 0xffff, 0xffff, 0xffff, 0xffff
        jmp 2f
1:      movw $7, SCRATCH
        .arch .8087
        filds SCRATCH
        fld1
        faddp
        fistps SCRATCH
        fwait
        .arch i8086
        mov SCRATCH, %ax
        expect "7 + 1", 8, 8, 8, 8, 8, 8
2:      since 2, 9f
        .arch i286
        mov $4, %ax                     /* EM */
        lmsw %ax
        try 1f
        .arch .8087
        fld1
1:      xor %ax, %ax
        lmsw %ax
        .arch i8086
        got_vector
        expect "x87 with CR0.EM", SKIP, SKIP, 7, 7, 7, 7
9:      ret

        .org 0xfff0, 0xff
        .byte 0xea
        .word start, 0xf000
        .org 0x10000, 0xff
