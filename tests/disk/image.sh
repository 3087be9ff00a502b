# Functions that make and read disk images without loop devices or mounts, and so without being root: an MBR, GRUB in the
# gap behind it, and from 1 MiB on one ext4 file system.  To be sourced.

PATH=$PATH:/usr/sbin:/sbin
image_offset=1048576
image_grub_modules='biosdisk part_msdos ext2 normal configfile linux serial terminal echo test sleep reboot halt'

# image_missing: names the tools that are missing here
image_missing() {
    for tool in grub-mkimage mke2fs debugfs e2fsck; do
        command -v $tool >/dev/null 2>&1 || printf '%s ' $tool
    done
}

# image_number N BYTES: little-endian
image_number() {
    number=$1 count=$2
    while [ "$count" -gt 0 ]; do
        # shellcheck disable=SC2059 # an octal escape
        printf "\\$(printf %03o $((number & 255)))"
        number=$((number >> 8)) count=$((count - 1))
    done
}

# image_partitions MIB: the partition table: one entry, active and Linux's, from 1 MiB to the end of the disk, and three
# that are empty.  Cylinders, heads and sectors are those of 255 heads and 63 sectors, and their maximum stands for the end.
image_partitions() {
    image_number 0x80 1
    image_number 0x002120 3
    image_number 0x83 1
    image_number 0xfffffe 3
    image_number 2048 4
    image_number $((($1 - 1) * 2048)) 4
    image_number 0 48
}

# image_make IMAGE MIB ROOT GRUB: a disk with the files of directory ROOT, which are to have /boot/grub/grub.cfg; GRUB
# is the directory of its i386-pc modules.  boot.img loads the first sector of core.img from sector 1, and that one the
# rest from sector 2: both are what the files say as they come, which spares an installation.
image_make() {
    rm -f "$1"
    dd if=/dev/null of="$1" bs=1048576 seek="$2" 2>/dev/null
    mke2fs -q -F -t ext4 -b 4096 -L myna -E "offset=$image_offset,lazy_itable_init=0" -d "$3" "$1" "$((($2 - 1) * 1024))k"
    # shellcheck disable=SC2086 # a list of modules
    grub-mkimage -O i386-pc -d "$4" -p '(hd0,msdos1)/boot/grub' -o "$1.core" $image_grub_modules
    dd if="$4/boot.img" of="$1" conv=notrunc 2>/dev/null
    image_partitions "$2" | dd of="$1" bs=1 seek=446 conv=notrunc 2>/dev/null
    dd if="$1.core" of="$1" bs=512 seek=1 conv=notrunc 2>/dev/null
    rm -f "$1.core"
}

# image_read IMAGE FILE: prints a file of the file system
image_read() { debugfs -R "cat $2" "$1?offset=$image_offset" 2>/dev/null; }

# image_check IMAGE: is the file system without fault?
image_check() { e2fsck -fn "$1?offset=$image_offset"; }

# image_write IMAGE FROM TO: a file of the host into the file system, in place of what is there.  A journal that a machine
# left behind would be replayed over it: that comes first.
image_write() {
    e2fsck -fy "$1?offset=$image_offset" >/dev/null 2>&1 || :
    printf 'rm %s\nwrite %s %s\n' "$3" "$2" "$3" | debugfs -w -f - "$1?offset=$image_offset" >/dev/null 2>&1
}
