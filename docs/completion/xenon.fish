# fish completion of xenon: commands and options as `xenon --help` and `xenon COMMAND --help` list them.
function __xenon_commands
    xenon --help 2>/dev/null | sed -n '/^commands:/,/^$/s/^  \([a-z][a-z-]*\)  *\(.*\)/\1\t\2/p'
end
function __xenon_options
    set -l words (commandline -opc)
    xenon $words[2] --help 2>/dev/null | sed -n 's/^  \(-[a-zA-Z],\|   \) \(--[a-z][a-z0-9-]*\)[^a-z].*  \(.*\)/\2\t\3/p'
end
function __xenon_first
    test (count (commandline -opc)) -eq 1
end
complete -c xenon -n __xenon_first -f -a '(__xenon_commands)'
complete -c xenon -n 'not __xenon_first; and string match -q -- "-*" (commandline -ct)' -f -a '(__xenon_options)'
complete -c xenon -n '__fish_prev_arg_in --device' -x -a 'cpu cpu:c cpu:avx2 cpu:avx512 cpu:avx512vnni gpu0 gpu1 reference'
complete -c xenon -n '__fish_prev_arg_in --op' -x -a 'embed project attend delta_net state_space short_conv heads project_add gate route expert_gate expert_add add head'
complete -c xenon -n '__fish_prev_arg_in --target' -x -a '(xenon compile --list 2>/dev/null | sed "s/ *[0-9.]*  */\t/")'
complete -c xenon -n '__fish_prev_arg_in --cache-type' -x -a 'f32 f16 bf16 q8_0 q4_0'
