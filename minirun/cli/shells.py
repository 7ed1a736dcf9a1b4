"""The scripts that connect a shell's completion to `minirun completion words`, which knows what fits.

Owns: three scripts, each of which asks for the words, shows them in the shell's own manner, and falls back to file names where those
fit. Leaves to others: what fits (cli/complete).

The answer is a line for each candidate, word and description with a tab between them, and a last line that begins with a colon:
`files` (names of files fit, too), `goes-on` (no blank after the word).
"""

# ruff: noqa: E501 -- the lines are the shells'
from __future__ import annotations

# bash splits words at the letters of COMP_WORDBREAKS, = and : among them: they are put together again by looking at the line, and the
# answers lose what bash holds to be words of its own. bash(1), Programmable Completion.
BASH = r"""# bash completion for minirun: made by `minirun completion bash`

_minirun() {
    local line=${COMP_LINE:0:COMP_POINT} word gap i current prefix answer directive
    local -a words=() found=()
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]} gap=
        while [[ $line == [[:space:]]* ]]; do line=${line:1} gap=yes; done
        if ((i == COMP_CWORD)); then word=$line; fi # up to the cursor
        line=${line#"$word"}
        if [[ ${#words[@]} -gt 0 && -z $gap ]]; then words[-1]+=$word; else words+=("$word"); fi
    done
    current=${words[-1]}

    COMPREPLY=()
    mapfile -t found < <("${words[0]}" completion words -- "${words[@]:1}" 2>/dev/null)
    [[ ${#found[@]} -gt 0 ]] || return 0
    directive=${found[-1]}
    unset 'found[-1]'
    prefix=${current%"${current##*[=:]}"}
    for answer in "${found[@]}"; do
        answer=${answer%%$'\t'*}
        COMPREPLY+=("${answer#"$prefix"}")
    done
    if [[ $directive == *files* ]]; then
        compopt -o filenames
        mapfile -t found < <(compgen -f -- "${current#"$prefix"}")
        COMPREPLY+=("${found[@]}")
    fi
    if [[ $directive == *goes-on* ]]; then compopt -o nospace; fi
}

complete -F _minirun minirun
"""

ZSH = r"""#compdef minirun
# zsh completion for minirun: made by `minirun completion zsh`

_minirun() {
    local directive line word
    local -a found candidates shown
    found=("${(@f)$("${(Q)words[1]}" completion words -- "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    directive=${found[-1]}
    for line in "${(@)found[1,-2]}"; do
        [[ -n $line ]] || continue
        word=${line%%$'\t'*}
        candidates+=("$word")
        if [[ ${line#*$'\t'} == "" || $line != *$'\t'* ]]; then shown+=("$word"); else shown+=("$word  -- ${line#*$'\t'}"); fi
    done
    if (( ${#candidates} )); then
        if [[ $directive == *goes-on* ]]; then
            compadd -S '' -l -d shown -a candidates
        else
            compadd -l -d shown -a candidates
        fi
    fi
    if [[ $directive == *files* ]]; then
        [[ $PREFIX == *[=:]* ]] && compset -P '*[=:]'
        _files
    fi
}

if [[ ${funcstack[1]} == _minirun ]]; then
    _minirun "$@" # loaded for its first use
else
    compdef _minirun minirun
fi
"""

FISH = r"""# fish completion for minirun: made by `minirun completion fish`

function __minirun_words
    set -l before (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    set -l found ($before[1] completion words -- $before[2..-1] "$current" 2>/dev/null)
    set -q found[1]; or return
    test (count $found) -gt 1; and printf '%s\n' $found[1..-2]
    if string match --quiet '*files*' -- $found[-1]
        __fish_complete_path (string replace --regex '.*[=:]' '' -- "$current")
    end
end

complete --command minirun --no-files --arguments '(__minirun_words)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
