# Functions that fill a Linux guest's initrd from Debian's packages.  To be sourced; $packages is where they were taken
# apart (debian-extract), $root the folder that becomes the initrd.

# module_add NAME...: modules and all they depend on, and their names into $root/modules/order, each after what it needs
module_add() {
    mkdir -p "$root/modules"
    for name; do
        file=$(find "$packages/lib/modules" -name "$name.ko" -o -name "$name.ko.xz" | head -n 1)
        to=$root/modules/$name.ko
        if [ -z "$file" ] || [ -f "$to" ]; then continue; fi # built in, or there already
        case $file in *.xz) xz -dc "$file" ;; *) cat "$file" ;; esac >"$to"
        # shellcheck disable=SC2046 # a list of names
        (module_add $(tr '\0' '\n' <"$to" | sed -n 's/^depends=//p' | tr , ' '))
        echo "$name.ko" >>"$root/modules/order"
    done
}

# library_add FILE: the shared libraries that a program or library of the packages names, and theirs
library_add() {
    readelf -d "$1" 2>/dev/null | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r needed; do
        [ ! -f "$root/lib/$needed" ] || continue
        file=$(find "$packages/lib" "$packages/usr/lib" -name "$needed" | head -n 1)
        [ -n "$file" ] || { echo "no library $needed, which $1 needs" >&2; exit 1; }
        cp -L "$file" "$root/lib/$needed"
        (library_add "$file")
    done
}

# program_add NAME...: programs with their libraries, to /bin
program_add() {
    mkdir -p "$root/bin" "$root/lib" "$root/lib64"
    for name; do
        file=$(find "$packages" -path "*bin/$name" | head -n 1)
        [ -n "$file" ] || { echo "no program $name" >&2; return 1; }
        cp -L "$file" "$root/bin/$name"
        library_add "$file"
    done
    for loader in lib64/ld-linux-x86-64.so.2 lib/ld-linux.so.2; do
        [ ! -e "$packages/$loader" ] || cp -L "$packages/$loader" "$root/$loader"
    done
}

# initrd_pack FILE
initrd_pack() { (cd "$root" && find . | sort | cpio -o -H newc -R 0:0 --quiet) | gzip -6n >"$1"; }
