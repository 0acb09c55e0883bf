# What the model wants: done (or out of turns), none (no call that can be made), one tool, or many tools; `again` when
# its answer did not arrive, or not whole, and `failed` when it did not arrive three times in a row.
. as $in
| ("text-" + $in.execution_id[:8] + ":") as $mark
| (($in.finish_reason // "") | ascii_downcase) as $finish
| ($finish == "length" or $finish == "max_tokens") as $full
# Tool calls overwrite the reason: only the number of tokens tells that they were cut off.
| (($in.calls // []) != [] and ($full or ($in.completion_tokens // 0) >= $in.max_tokens)) as $cut
| ("plan_" + ($in.turn | tostring)) as $plan
| ("tool_" + ($in.turn | tostring)) as $tool
| (($in.steps // 0) + $in.turn) as $step
| [($in.calls // [])[]
    | ((.inputParameters // {}) | del(.method)) as $given
    | {id: .taskReferenceName, name: .name, args: ($given | del(.["arguments-complete"])), task: $in.tools[.name]}
    | if .task == null then
        .error = ("There is no tool named " + .name + ". The tools are: " + ($in.tools | keys | join(", ")) + ".")
      elif $cut then
        .task = null | .error = "Not called: your answer was cut off at its longest, and its arguments may be incomplete. Call again, with less at once."
      elif ([.name] - ($in.marked // []) | length) == 0 and ($given | has("arguments-complete") | not) then
        .task = null | .error = "Not called: its arguments did not arrive as a JSON object. Call again, with arguments-complete: true."
      else . end
  ] as $calls
# An answer of no calls that did not arrive as the model gave it. Conductor hands text that begins with a JSON object
# over as that object, without what follows; strips a fence at the start; and tells a failure by what is missing.
| $in.result as $said
| ($in.completion_tokens // 0) as $tokens
| (if ($calls | length) > 0 or (($said | type) == "string" and ($said | startswith($mark))) then null
   elif $finish == "" or $finish == "error" or (($said // "") == "" and $tokens == 0) then "failed"
   elif ($said // "") == "" then "empty"
   elif ($said | type) == "object" and $tokens > ($said | tojson | length) then "damaged"
   elif ($said | type) == "string" and ($full | not) and ($said | split("```") | length) % 2 == 0 then "damaged"
   else null end) as $problem
| ($in.again // 0) as $again
| [$calls | to_entries[] | select(.value.task != null)] as $known
| {
    mode: (
      if $problem == "failed" and ($again >= $in.most_again or $step >= $in.max_turns) then "failed"
      elif $problem != null and ($full | not) and $again < $in.most_again and $step < $in.max_turns then "again"
      elif ($calls | length) == 0 or $step >= $in.max_turns then "done"
      elif ($known | length) == 0 then "none"
      elif ($calls | length) == 1 and (([$calls[0].name] - $in.limited) | length) == 1 then "one"
      else "many" end),
    step: $step,
    finish_reason: (
      if ($calls | length) > 0 and $step >= $in.max_turns then "max_turns"
      elif $problem == "empty" then "empty"
      elif $finish == "" then "stop"
      else $finish end),
    intact: ($problem == null and (($said | type) != "object" or ($calls | length) > 0)),
    calls: $calls,
    # The results of one turn share what one result may take: the join holds them all.
    max_bytes: ($in.max_bytes / ([$known | length, 1] | max) | floor),
    usage: {
      prompt_tokens: (($in.usage.prompt_tokens // 0) + ($in.prompt_tokens // 0)),
      completion_tokens: (($in.usage.completion_tokens // 0) + ($in.completion_tokens // 0))
    }
  }
| if .mode == "again" then . + {again: ($again + 1), problem: $problem} else . end
| if .problem == "empty" or .problem == "damaged" then
    .note = ("[Your answer did not arrive whole: text that begins like JSON is changed on its way. Answer once more, beginning with " + $mark + " and going on with the whole text. That beginning is taken off.]")
  else . end
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
