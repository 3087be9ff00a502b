# Functions for the guest of make-io-guest.  To be sourced.

# io_guest_initrd GUEST COMMANDS FILE [tools]: its initrd with the shell commands that it is to run, to FILE
io_guest_initrd() {
    folder=$(mktemp -d)
    printf '%s\n' "$2" >"$folder/commands"
    (cd "$folder" && echo commands | cpio -o -H newc -R 0:0 --quiet | gzip -1n) |
        cat "$1/initrd.gz" ${4:+"$1/tools.gz"} - >"$3"
    rm -rf "$folder"
}
