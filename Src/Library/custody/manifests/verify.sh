#!/bin/sh
# Checks the originals against the signed lists in this folder, without Photo Factory. It changes nothing.
#
#   sh verify.sh [PUBLIC_KEY]
#
# It needs sh, coreutils (sha256sum, sort, comm, ...) and minisign. PUBLIC_KEY: the key that you noted elsewhere; without
# it the key in this folder is believed, which a forger could have replaced. Exit code 0: all is as it was recorded.
LC_ALL=C; export LC_ALL; set -u
cd -- "$(dirname -- "$0")" || exit 2
for program in sha256sum comm minisign; do
    command -v "$program" >/dev/null || { echo "$program is missing here"; exit 2; }
done
key=${1:-$(tail -n 1 minisign.pub)}; bad=0; d='[0-9]'; year=$d$d$d$d; day=$year/$year-$d$d-$d$d
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT; trap 'exit 2' INT TERM
wrong() { bad=1; printf 'WRONG  %s\n' "$*" >&3; }
signed() { minisign -Vqm "$1" -P "$key" >/dev/null 2>&1 || wrong "signature    $1"; }
paths() { while IFS= read -r line; do printf '%s\n' "${line#*  }"; done | sort; }
exec 3>&1

# 1. The chain: signed as a whole, and each line holds the hash of the line before.
signed chain.log
number=0; before=
while read -r previous time hash path; do
    number=$((number + 1))
    if [ "$number" = 1 ]; then
        [ -z "$(printf %s "$previous" | tr -d 0)" ] || echo "note   an earlier chain was lost before $time; it ended with $previous"
    elif [ "$previous" != "$before" ]; then wrong "chain        line $number does not follow the line before it"; fi
    before=$(printf '%s\n' "$previous $time $hash $path" | sha256sum); before=${before%% *}
done <chain.log
echo "chain  $number lines; the last one is $before"

# 2. The lists: those that the chain names last, with these hashes, signed, and no others.
tac chain.log | sort -s -u -k 4,4 | while read -r previous time hash path; do
    [ "$hash" = - ] || printf '%s  %s\n' "$hash" "$path"
done >"$work/named"
sha256sum -c --quiet "$work/named" || wrong "list         one is missing, or other than the chain says"
: >"$work/recorded"; : >"$work/sidecars"
for list in */*.sha256 */*.events; do
    # shellcheck disable=SC2254
    case $list in
        '*/*.sha256' | '*/*.events') continue ;;
        $day.events) printf '%s\n' "$list"; signed "$list"; continue ;;
        $day.sha256) ;;
        $day.sidecars.sha256) cat "$list" >>"$work/sidecars" ;;
        *) wrong "list         $list is none of a day"; continue ;;
    esac
    printf '%s\n' "$list"; signed "$list"; cat "$list" >>"$work/recorded"
done >"$work/lists"
paths <"$work/named" >"$work/names"
for list in $(sort "$work/lists" | comm -13 "$work/names" -); do wrong "list         the chain does not name $list"; done

# 3. The originals: every file that stands in the folder of a day is read now; no other folder belongs there.
cd ../Originals || exit 2
for folder in . $year $day; do
    [ -d "$folder" ] && [ ! -L "$folder" ] || continue
    for file in "$folder"/* "$folder"/.[!.]* "$folder"/..?*; do
        if [ -L "$file" ]; then wrong "link         $file"
        # shellcheck disable=SC2254
        elif [ -d "$file" ]; then case $file in ./$year | $day | ./.damaged | ./.restoring) ;; *) wrong "folder       $file" ;; esac
        elif [ "$file" = ./.photo-factory-vault ]; then :
        elif [ -f "$file" ]; then sha256sum -- "$file" || wrong "unreadable   $file"
        elif [ -e "$file" ]; then wrong "no file      $file"; fi
    done
done >"$work/read"
sort "$work/recorded" >"$work/1"; sort "$work/read" >"$work/2"
comm -23 "$work/1" "$work/2" | paths >"$work/lost"; comm -13 "$work/1" "$work/2" | paths >"$work/new"
paths <"$work/sidecars" >"$work/3"; comm -12 "$work/lost" "$work/new" >"$work/4"
comm -23 "$work/4" "$work/3" >"$work/changed"; comm -12 "$work/4" "$work/3" >"$work/xmp"
comm -23 "$work/lost" "$work/new" >"$work/missing"; comm -13 "$work/lost" "$work/new" >"$work/added"
for what in changed missing added; do
    while IFS= read -r path; do wrong "$(printf '%-12s' "$what") $path"; done <"$work/$what"
done
while IFS= read -r path; do printf 'note   a program has written into %s (it may)\n' "$path"; done <"$work/xmp"
echo "files  $(wc -l <"$work/1") recorded, $(wc -l <"$work/2") read"
if [ "$bad" = 0 ]; then echo "All is as it was recorded."; else echo "Something is wrong: see above."; fi
exit "$bad"
