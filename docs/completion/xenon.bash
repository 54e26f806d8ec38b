# bash completion of xenon: commands and options as `xenon --help` and `xenon COMMAND --help` list them.
_xenon() {
    local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        local commands
        commands=$("$program" --help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
        return
    fi
    case $previous in
    --device)
        mapfile -t COMPREPLY < <(compgen -W "cpu cpu:c cpu:avx2 cpu:avx512 cpu:avx512vnni gpu0 gpu1 reference" -- "$word")
        return
        ;;
    --op)
        mapfile -t COMPREPLY < <(compgen -W "embed project attend delta_net state_space short_conv heads project_add gate route expert_gate expert_add add head" -- "$word")
        return
        ;;
    --target)
        local targets
        targets=$("$program" compile --list 2>/dev/null | sed 's/ .*//')
        mapfile -t COMPREPLY < <(compgen -W "$targets" -- "$word")
        return
        ;;
    --cache-type)
        mapfile -t COMPREPLY < <(compgen -W "f32 f16 bf16 q8_0 q4_0" -- "$word")
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        local options
        options=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null |
            sed -n 's/^  \(-[a-zA-Z],\|   \) \(--[a-z][a-z0-9-]*\).*/\2/p')
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
    else
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _xenon xenon
