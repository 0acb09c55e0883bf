# What the model wants: done (or out of turns), none (only unknown tools), one tool, or many tools.
. as $in
| ("plan_" + ($in.turn | tostring)) as $plan
| ("tool_" + ($in.turn | tostring)) as $tool
| (($in.steps // 0) + $in.turn) as $step
| [($in.calls // [])[]
    | {id: .taskReferenceName, name: .name, args: ((.inputParameters // {}) | del(.method)), task: $in.tools[.name]}
    | if .task != null then . else
        .error = ("There is no tool named " + .name + ". The tools are: " + ($in.tools | keys | join(", ")) + ".")
      end
  ] as $calls
| [$calls | to_entries[] | select(.value.task != null)] as $known
| {
    mode: (
      if ($calls | length) == 0 or $step >= $in.max_turns then "done"
      elif ($known | length) == 0 then "none"
      elif ($calls | length) == 1 and (([$calls[0].name] - $in.limited) | length) == 1 then "one"
      else "many" end),
    step: $step,
    finish_reason: (if ($calls | length) > 0 and $step >= $in.max_turns then "max_turns" else (($in.finish_reason // "stop") | ascii_downcase) end),
    calls: $calls,
    # The results of one turn share what one result may take: the join holds them all.
    max_bytes: ($in.max_bytes / ([$known | length, 1] | max) | floor),
    usage: {
      prompt_tokens: (($in.usage.prompt_tokens // 0) + ($in.prompt_tokens // 0)),
      completion_tokens: (($in.usage.completion_tokens // 0) + ($in.completion_tokens // 0))
    }
  }
| if .mode == "many" then . + {
    fork: [$known[] | {
      name: .value.task,
      taskReferenceName: ($tool + "_" + ((.key + 1) | tostring)),
      type: "SIMPLE",
      optional: true
    }],
    # By reference only: the fork expands templates in its inputs, and text from a model is data.
    fork_inputs: ([$known[] | {
      key: ($tool + "_" + ((.key + 1) | tostring)),
      value: {
        args: ("$" + "{" + $plan + ".output.result.calls[" + (.key | tostring) + "].args}"),
        call_id: ("$" + "{" + $plan + ".output.result.calls[" + (.key | tostring) + "].id}"),
        step: $step,
        execution_id: $in.execution_id,
        max_bytes: ($in.max_bytes / ($known | length) | floor)
      }
    }] | from_entries)
  } else . end
