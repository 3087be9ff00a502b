/*
 * A boot sector that reports what its PS/2 keyboard and mouse say, on the first serial port: "k1c" for each byte of the
 * keyboard (set 1).  What the mouse moves is summed up.  Commands by the serial port:
 *   p   prints the sums: "p XXXXXXXX YYYYYYYY WWWWWWWW BB", hexadecimal, down being positive, and the buttons held
 *   g   graphics, 320 x 200 in 256 colours: a pattern in which no two neighbours are alike
 *   t   text, 80 x 25, without a cursor: all characters in all colours
 *   v   takes VMware's pointer into use: from then on the sums are its last position, 0 to FFFFh each way
 */
        .code16
        .globl _start
_start: cli
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movw $0x7c00, %sp
        ljmp $0, $begin
begin:  movw $0x0202, %ax               /* the second and third sector; DL: this drive */
        movw $2, %cx
        movb $0, %dh
        movw $0x7e00, %bx
        int $0x13
        cli
        xorw %ax, %ax
        movw $packet, %di
        movw $(sums + 12 - packet), %cx
        rep stosb
        movw $0x3f8 + 3, %dx            /* 115200 baud, 8N1 */
        movb $0x80, %al
        outb %al, %dx
        movw $0x3f8, %dx
        movb $1, %al
        outb %al, %dx
        movw $0x3f8 + 3, %dx
        movb $3, %al
        outb %al, %dx
        call text
        movb $0xa8, %al                 /* the mouse's clock */
        call command
        movb $0x60, %al                 /* command byte: translation to set 1, no interrupts */
        call command
        movb $0x40, %al
        call data
        movw $mouse_start, %si          /* with a wheel, and reporting */
next:   lodsb
        cmpb $0, %al
        je ready
        push %ax
        movb $0xd4, %al
        call command
        pop %ax
        call data
answer: inb $0x64, %al
        testb $1, %al
        jz answer
        inb $0x60, %al
        cmpb $0xfa, %al
        jne answer
        jmp next
ready:  movb $'r', %al
        call put
        call line

loop:   cmpb $0, vmware
        jne position
look:   movw $0x3f8 + 5, %dx
        inb %dx, %al
        testb $1, %al
        jnz serial
        inb $0x64, %al
        testb $1, %al
        jz loop
        testb $0x20, %al
        inb $0x60, %al
        jnz mouse
        push %ax
        movb $'k', %al
        call put
        pop %ax
        call hex
        call line
        jmp loop

/* The four bytes of a packet: buttons and signs, X, Y (up), wheel. */
mouse:  cmpb $0, vmware                 /* then these bytes only say that there is something */
        jne loop
        movw count, %bx
        movb %al, packet(%bx)
        incw %bx
        andw $3, %bx
        movw %bx, count
        jnz loop
        movzbl packet + 1, %eax
        testb $0x10, packet
        jz 1f
        orl $0xffffff00, %eax
1:      addl %eax, sums
        movzbl packet + 2, %eax
        testb $0x20, packet
        jz 1f
        orl $0xffffff00, %eax
1:      subl %eax, sums + 4
        movsbl packet + 3, %eax
        addl %eax, sums + 8
        jmp loop

serial: movw $0x3f8, %dx
        inb %dx, %al
        cmpb $'g', %al
        je graphics
        cmpb $'t', %al
        je 2f
        cmpb $'v', %al
        je vmware_start
        movb $'p', %al
        call put
        movw $sums, %si
        movw $3, %cx
1:      movb $' ', %al
        call put
        lodsl
        call long
        loopw 1b
        movb $' ', %al
        call put
        movb packet, %al
        andb $7, %al
        call hex
        call line
        jmp loop
2:      call text
        movb $'t', %al
        jmp done
graphics:
        movw $0x13, %ax
        int $0x10
        cli
        movw $0xa000, %ax
        movw %ax, %es
        xorw %di, %di
1:      movw %di, %ax
        movb %ah, %bl
        imulw $7, %ax, %ax
        addb %bl, %al
        stosb
        testw %di, %di
        jnz 1b
        movb $'g', %al
done:   call put
        call line
        jmp loop

        .org 510
        .word 0xaa55
text:   movw $3, %ax
        int $0x10
        movb $1, %ah
        movw $0x2000, %cx               /* no cursor: it would blink */
        int $0x10
        cli
        movw $0xb800, %ax
        movw %ax, %es
        xorw %di, %di
        xorw %ax, %ax
1:      stosw
        addw $0x1107, %ax               /* attributes of bit 7 blink as well */
        andw $0x7fff, %ax
        cmpw $4000, %di
        jb 1b
        ret
command:
        push %ax
1:      inb $0x64, %al
        testb $2, %al
        jnz 1b
        pop %ax
        outb %al, $0x64
        ret
data:   push %ax
1:      inb $0x64, %al
        testb $2, %al
        jnz 1b
        pop %ax
        outb %al, $0x60
        ret
long:   push %cx
        movw $8, %cx
1:      roll $4, %eax
        call digit
        loopw 1b
        pop %cx
        ret
hex:    push %cx
        movw $2, %cx
1:      rolb $4, %al
        call digit
        loopw 1b
        pop %cx
        ret
digit:  push %eax
        andb $15, %al
        addb $'0', %al
        cmpb $'9', %al
        jbe 1f
        addb $'a' - '9' - 1, %al
1:      call put
        pop %eax
        ret
line:   movb $'\n', %al
put:    push %dx
        push %ax
        movw $0x3f8 + 5, %dx
1:      inb %dx, %al
        testb $0x20, %al
        jz 1b
        pop %ax
        movw $0x3f8, %dx
        outb %al, %dx
        pop %dx
        ret

/* VMware's backdoor: ECX: command, EBX: its argument ("vmmouse" in docs of open-vm-tools). */
vmware_call:
        movl $0x564d5868, %eax
        movl $0x5658, %edx
        inl %dx, %eax
        ret
vmware_start:
        movl $0x45414552, %ebx          /* enable; what it says first is its version */
        movl $41, %ecx
        call vmware_call
        movl $1, %ebx
        movl $39, %ecx
        call vmware_call
        movl $0x53424152, %ebx          /* positions */
        movl $41, %ecx
        call vmware_call
        movb $1, vmware
        movb $'v', %al
        jmp done
position:
        xorl %ebx, %ebx
        movl $40, %ecx                  /* words that wait: four for each report */
        call vmware_call
        cmpw $4, %ax
        jb look
        movl $4, %ebx
        movl $39, %ecx
        call vmware_call
        movl %ebx, sums
        movl %ecx, sums + 4
        addl %edx, sums + 8
        movb %al, packet
        jmp loop

mouse_start:
        .byte 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf4, 0
vmware: .byte 0
        .org 1536
        .equ packet, 0x600
        .equ count, 0x604
        .equ sums, 0x608
