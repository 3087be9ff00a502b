# A tune that devices play, and what is heard of it.  To be sourced.

notes="440 550 660 880 1100 1320 1760 2200"
note_seconds=0.5

# tune_make FILE RATE: the notes on the left, and backwards on the right, stereo, 16 bits; at half of full scale
tune_make() {
    backwards=
    for n in $notes; do backwards="$n $backwards"; done
    for side in left right; do
        list=$notes
        [ $side = left ] || list=$backwards
        for n in $list; do
            sox -R -n -r "$2" -b 16 -c 1 "$1.$side.$n.wav" synth $note_seconds sine "$n" gain -6
        done
        sox $(for n in $list; do echo "$1.$side.$n.wav"; done) "$1.$side.wav"
    done
    sox -M "$1.left.wav" "$1.right.wav" "$1"
    rm -f "$1".left* "$1".right*
}

# measure FILE CHANNEL START SECONDS EFFECT...: root mean square and peak of what is left
measure() {
    f=$1 c=$2 from=$3 for=$4
    shift 4
    sox "$f" -n remix "$c" trim "$from" "$for" "$@" trim 0.05 -0.05 stat 2>&1 |
        awk '/RMS.*amplitude/ { rms = $3 } /Maximum amplitude/ { max = $3 } /Minimum amplitude/ { min = -$3 }
             END { print rms, (max > min ? max : min) }'
}

# tune_check FILE [CHANNELS] [NOISE] [LEVEL]: whether FILE has the tune, from its first sound on: each note at its time and as loud as
# it was, nothing else louder than NOISE of full scale [0.01], as a gap or a click is.
tune_check() {
    file=$1 channels=${2:-1 2} noise=${3:-0.01} level=${4:-0.35} bad=0
    sox "$file" "$file.from-start.wav" silence 1 0.0005 2% || return 1
    for channel in $channels; do
        list=$notes
        [ "$channel" = 1 ] || { list=; for n in $notes; do list="$n $list"; done; }
        at=0
        for n in $list; do
            all=$(measure "$file.from-start.wav" "$channel" "$at" $note_seconds)
            rest=$(measure "$file.from-start.wav" "$channel" "$at" $note_seconds sinc -t 60 "$((n + 120))-$((n - 120))")
            echo "# channel $channel, $at s, $n Hz: ${all% *}; beside it at most ${rest#* }"
            awk "BEGIN { exit !(${all% *} > $level * 0.95 && ${all% *} < $level * 1.05 && ${rest#* } < $noise) }" || bad=1
            at=$(awk "BEGIN { print $at + $note_seconds }")
        done
    done
    rm -f "$file.from-start.wav"
    return $bad
}
