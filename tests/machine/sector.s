# A disk's first sector, for tests of the machine around it. It writes to the disk and reads it back,
# says so on the serial console, and then does what is typed there: q powers off, x ends qemu by its
# debugging device, Ctrl-C is answered.
    .intel_syntax noprefix
    .code16
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7c00
    cld
    mov drive, dl
    mov ax, 0x0301              # write one sector: the second of the disk
    mov bx, 0x7c00
    mov cx, 2
    mov dh, 0
    int 0x13
    jc bad
    mov ax, 0x0201              # read it
    mov bx, 0x8000
    mov cx, 2
    mov dh, 0
    mov dl, drive
    int 0x13
    jc bad
    mov si, 0x7c00
    mov di, 0x8000
    mov cx, 256
    repe cmpsw
    jne bad
    mov si, offset written
    call print
next:
    mov dx, 0x3fd               # the line's status: has something been typed?
    in al, dx
    test al, 1
    jz next
    mov dx, 0x3f8
    in al, dx
    cmp al, 3
    je interrupted
    cmp al, 'x'
    je debug_exit
    cmp al, 'q'
    jne next
    mov dx, 0x604               # the power management of qemu's q35: soft off
    mov ax, 0x2000
    out dx, ax
    jmp next
interrupted:
    mov si, offset answer
    call print
    jmp next
debug_exit:
    mov dx, 0xf4                # isa-debug-exit: ends with 2 * 3 + 1
    mov al, 3
    out dx, al
    jmp next
bad:
    mov si, offset failed
    call print
    jmp next
print:
    lodsb
    test al, al
    jz done
    mov ah, al
    mov dx, 0x3fd
full:
    in al, dx
    test al, 0x20
    jz full
    mov dx, 0x3f8
    mov al, ah
    out dx, al
    jmp print
done:
    ret
drive:    .byte 0
written:  .asciz "GUEST: written\r\n"
answer:   .asciz "GUEST: Ctrl-C\r\n"
failed:   .asciz "GUEST: the disk failed\r\n"
    .org 510
    .byte 0x55, 0xaa
