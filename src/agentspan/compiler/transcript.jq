# The transcript after a turn: the calls and their results at its end; trimmed in one large bite when over budget.
. as $in
| [($in.calls | to_entries[])
    | .value as $call
    | ($in.ref + "_" + ((.key + 1) | tostring)) as $forked
    | (if $call.task == null then {error: ("There is no tool named " + $call.name + ". The tools are: " + ($in.tools | join(", ")) + ".")}
       elif $in.mode == "one" then $in.one
       else $in.many[$forked] end) as $out
    | {taskReferenceName: $call.id, name: $call.name, type: "SIMPLE", inputParameters: {},
       output: (if $out | type == "object" and has("result") then {result: $out.result}
                else {error: (($out.error? // $in.reason) // "The tool gave no result: every worker that ran it died, or it timed out.")} end)}
  ] as $results
| [{role: "tool_call", toolCalls: [$in.calls[] | {taskReferenceName: .id, name, type: "SIMPLE", inputParameters: .args}]},
   {role: "tool", toolCalls: $results}] as $exchange
| $in.transcript as $old
| ($old.size + ($exchange | tojson | length)) as $size
| if $size <= $in.max_chars then $old + {messages: ($old.messages + $exchange), size: $size}
  else
    ($old.messages[:$old.pinned]) as $pinned
    | (if $old.dropped > 0 then $old.messages[$old.pinned + 1:] else $old.messages[$old.pinned:] end + $exchange) as $rest
    | [range(0; $rest | length; 2) | $rest[.:. + 2]] as $exchanges
    | (reduce ($exchanges | reverse | .[]) as $x ({kept: [], size: 0, full: false};
        ($x | tojson | length) as $n
        | if (.full | not) and ((.kept | length) == 0 or .size + $n <= $in.keep_chars)
          then {kept: ([$x] + .kept), size: (.size + $n), full: false}
          else .full = true end)) as $tail
    | ($old.dropped + ($exchanges | length) - ($tail.kept | length)) as $dropped
    | {messages: ($pinned
         + [{role: "user", message: ("[" + ($dropped | tostring) + " earlier tool exchanges were left out to keep this conversation within its budget.]")}]
         + ($tail.kept | add)),
       pinned: $old.pinned,
       size: (($pinned | tojson | length) + $tail.size + 100),
       dropped: $dropped}
  end
