# Functions that run a machine and talk with it on its serial port.  To be sourced; $work is a directory for its files.
# $MYNA is what to run, with options if need be: MYNA='qemu-system-x86_64 -M pc -accel tcg'.

myna=${MYNA:-$(cd "$(dirname "$0")/../.." && pwd)/build/myna}
LC_ALL=C
export LC_ALL

# machine_start_with OPTION...: $work/serial has what it says, $work/status its exit status once it has ended
machine_start_with() {
    rm -f "$work/in" "$work/pid" "$work/status"
    mkfifo "$work/in"
    # shellcheck disable=SC2086 # options
    sh -c '"$@" <"$0/in" >"$0/serial" 2>"$0/errors" & echo $! >"$0/pid"; wait $!; echo $? >"$0/status"' "$work" \
        $myna -m "${MEMORY:-512}" -display none -serial stdio -monitor none -nodefaults "$@" &
    exec 3>"$work/in"
    mark=1
    trap '' PIPE
}

# machine_start IMAGE: the same with an IDE disk
machine_start() { machine_start_with -drive "file=$1,format=raw,if=ide"; }

# machine_disk KIND DRIVE: options for a disk of that kind, with the serial number myna-KIND; DRIVE is as -drive has it
machine_disk() {
    case $1 in
    ide) to="ide-hd" ;;
    ahci) to="ich9-ahci,id=ahci -device ide-hd,bus=ahci.0" ;;
    nvme) to="nvme" ;;
    virtio-blk) to="virtio-blk-pci" ;;
    virtio-scsi) to="virtio-scsi-pci,id=scsi -device scsi-hd,bus=scsi.0" ;;
    esac
    echo "-drive if=none,id=disk-$1,$2 -device $to,drive=disk-$1,serial=myna-$1"
}

machine_kill() { if [ -f "$work/pid" ] && [ ! -f "$work/status" ]; then kill "$(cat "$work/pid")" 2>/dev/null || :; fi; }

# machine_find PATTERN: looks for it behind what was found before, and goes on from its end the next time
machine_find() {
    found=$(tail -c "+$mark" "$work/serial" | grep -abo -e "$1" | head -n 1)
    [ -n "$found" ] || return 1
    text=${found#*:}
    mark=$((mark + ${found%%:*} + ${#text}))
}

# machine_wait SECONDS PATTERN
machine_wait() {
    deadline=$(($(date +%s) + $1))
    until machine_find "$2"; do
        if [ -f "$work/status" ]; then machine_find "$2"; return; fi
        [ "$(date +%s)" -lt $deadline ] || return 1
        sleep 0.25
    done
}

machine_type() { printf '%s\n' "$1" >&3; }

# machine_run SECONDS COMMAND: a command for the guest's shell; its exit status
machine_run() {
    machine_type "$2; echo guest-status=\$?,"
    machine_wait "$1" 'guest-status=[0-9]*,' || return 255
    text=${text#*=}
    return "${text%,}"
}

# machine_log_in SECONDS: into make-debian's system, once it has come up
machine_log_in() {
    machine_wait "$1" 'myna login: ' || return 1
    machine_type root
    machine_wait 60 'Password: ' || return 1
    machine_type myna
    machine_wait 120 'root@myna:~# '
}

# machine_ended SECONDS: waits for the machine to end by itself; did it, and well?
machine_ended() {
    deadline=$(($(date +%s) + $1))
    until [ -f "$work/status" ]; do
        [ "$(date +%s)" -lt $deadline ] || return 1
        sleep 0.25
    done
    [ "$(cat "$work/status")" = 0 ]
}

failed=0 checks=0 worst=0

# check_line STATUS NAME: a line of TAP; $worst is 1 once one has failed
check_line() { if [ "$1" = 0 ]; then echo "ok $checks - $2"; else echo "not ok $checks - $2"; worst=1; fi; }

# check NAME COMMAND...: a line of the report, by check_line STATUS NAME; after a failure no more is tried.  The time is
# since $start.
check() {
    name=$1 checks=$((checks + 1))
    shift
    if [ $failed = 0 ] && "$@" >"$work/check" 2>&1; then
        check_line 0 "$name ($(($(date +%s) - start)) s)"
        return
    fi
    if [ $failed = 0 ]; then
        sed 's/^/# /' "$work/check"
        machine_explain
    fi
    failed=1
    check_line 1 "$name"
}

# machine_explain: what it said last, for the log of a failure
machine_explain() {
    tail -n 30 "$work/serial" | tr -d '\r\033' | sed 's/^/# serial: /'
    tail -n 10 "$work/errors" | sed 's/^/# machine: /'
}
