# Makes the table of tests/bench/run from its records: "ROUND EMULATOR KIND ...".  The last of `emulators` is what the
# others are compared with, if it is not one of Myna's engines.

BEGIN {
    count = split(emulators, emulator, " ")
    reference = emulator[count] == "qemu" || emulator[count] == "other" ? emulator[count] : ""
    engines = reference == "" ? count : count - 1
}

# What is smaller the better is kept as its inverse, so that all ratios are of speeds.
function keep(row, wall, cpu) {
    if (!((row) in place)) {
        place[row] = ++rows
        name[rows] = row
    }
    n = ++samples[row, $2, $1]
    speed[row, $2, $1, n] = wall > 0 ? 1 / wall : 0
    effort[row, $2, $1, n] = cpu > 0 ? 1 / cpu : 0
    if ($1 > rounds)
        rounds = $1
}

$3 == "row" { keep($4, $6 / $5, $7 / $5) }
$3 == "clock" && $5 > 0.5 { by_guest[$2] += $4; by_host[$2] += $5 }
$3 == "boot" { keep("boot", $4, $5) }
$3 == "start" { keep("start", $4, $5) }
$3 == "done" { keep("memory", $6, 0) }

# The median of list[1..n], which it sorts.
function median(list, n,    i, j, v) {
    for (i = 2; i <= n; i++) {
        v = list[i]
        for (j = i - 1; j && list[j] > v; j--)
            list[j + 1] = list[j]
        list[j + 1] = v
    }
    return !n ? 0 : n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

# The median of an emulator's samples of a row, of one round, or of all (round 0).
function typical(values, row, e, round,    list, n, r, k) {
    n = 0
    for (r = round ? round : 1; r <= (round ? round : rounds); r++)
        for (k = 1; k <= samples[row, e, r]; k++)
            list[++n] = values[row, e, r, k]
    return median(list, n)
}

# The rounds' ratios, each of two runs that stood close together in time; their median.
function ratio(values, row, e,    list, n, r, a, b) {
    n = 0
    for (r = 1; r <= rounds; r++) {
        a = typical(values, row, e, r)
        b = typical(values, row, reference, r)
        if (a && b)
            list[++n] = a / b
    }
    return median(list, n)
}

function print_ratios(row, counted,    k, e, w, c) {
    for (k = 1; reference != "" && k <= engines; k++) {
        e = emulator[k]
        w = ratio(speed, row, e)
        c = ratio(effort, row, e)
        printf " %8s %8s", w ? sprintf("%.2f", w) : "-", c ? sprintf("%.2f", c) : "-"
        if (counted && w) { sum[k] += log(w); summed[k]++ }
        if (counted && c) { sum_cpu[k] += log(c); summed_cpu[k]++ }
    }
    printf "\n"
}

function print_rate(row,    k, v) {
    printf "%-14s", row
    for (k = 1; k <= count; k++)
        printf " %11s", (v = typical(speed, row, emulator[k], 0)) ? sprintf("%.4g", v) : "-"
    print_ratios(row, 1)
}

# A row of another kind: a time or an amount, times `scale`.
function print_amount(row, label, scale,    k, v) {
    if (!(row in place))
        return
    printf "%-14s", label
    for (k = 1; k <= count; k++)
        printf " %11s", (v = typical(speed, row, emulator[k], 0)) ? sprintf("%.4g", scale / v) : "-"
    print_ratios(row, 0)
}

END {
    printf "\n%-14s", "operations/s"
    for (k = 1; k <= count; k++)
        printf " %11s", emulator[k]
    for (k = 1; reference != "" && k <= engines; k++)
        printf " %17s", emulator[k] "/" reference
    printf "\n%-14s", ""
    for (k = 1; k <= count; k++)
        printf " %11s", ""
    for (k = 1; reference != "" && k <= engines; k++)
        printf " %8s %8s", "wall", "cpu"
    printf "\n"
    for (i = 1; i <= rows; i++)
        if (name[i] != "boot" && name[i] != "start" && name[i] != "memory")
            print_rate(name[i])
    if (reference != "" && summed[1]) {
        printf "%-14s", "geometric mean"
        for (k = 1; k <= count; k++)
            printf " %11s", ""
        for (k = 1; k <= engines; k++)
            printf " %8.2f %8s", exp(sum[k] / summed[k]),
                   summed_cpu[k] ? sprintf("%.2f", exp(sum_cpu[k] / summed_cpu[k])) : "-"
        printf "  of %d rows\n", summed[1]
    }
    printf "\n"
    print_amount("boot", "boot, s", 1)
    print_amount("start", "start, ms", 1000)
    print_amount("memory", "memory, MiB", 1 / 1024)
    printf "%-14s", "guest's clock"
    for (k = 1; k <= count; k++)
        printf " %11s", by_host[emulator[k]] ? sprintf("%.4f", by_guest[emulator[k]] / by_host[emulator[k]]) : "-"
    printf "\n"
}
