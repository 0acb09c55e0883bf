# The transcript after a turn: the calls and their results at its end; trimmed in one large bite when over budget.
def measure: tojson | utf8bytelength as $n | {bytes: $n, stored: ($n + ($n - length) * 8 / 3)};
def plus($other): {bytes: (.bytes + $other.bytes), stored: (.stored + $other.stored)};
def within($most): measure as $n
  | if $n.stored <= $most then . else {error: ("[" + ($n.bytes | tostring) + " bytes: too large to be shown here]")} end;
def tool_name: gsub("[^a-zA-Z0-9_-]"; "_")[:64] | if . == "" then "_" else . end;
. as $in
| $in.transcript as $old
| [($in.calls | to_entries[])
    | .value as $call
    | ($in.ref + "_" + ((.key + 1) | tostring)) as $forked
    | (if $call.task == null then {error: ("There is no tool named " + $call.name + ". The tools are: " + ($in.tools | join(", ")) + ".")}
       elif $in.mode == "one" then $in.one
       else $in.many[$forked] end) as $out
    | {taskReferenceName: $call.id, name: ($call.name | tool_name), type: "SIMPLE", inputParameters: {},
       output: (if $out | type == "object" and has("result") then {result: $out.result}
                else {error: (($out.error? // $in.reason) // "The tool gave no result: every worker that ran it died, or it timed out.")} end)}
  ] as $results
| [{role: "tool_call", toolCalls: [$in.calls[]
      | {taskReferenceName: .id, name: (.name | tool_name), type: "SIMPLE", inputParameters: .args}]},
   {role: "tool", toolCalls: $results}] as $said
# Conductor stores this task's output twice and refuses more than 10 MB; what cannot fit is said to be left out.
| ($in.most - $old.base.stored) as $room
| (if ($said | measure).stored <= $room then $said
   else (($room / 2 / ($in.calls | length) | floor) - 200) as $share
     | [$said[] | .toolCalls |= map(.inputParameters |= within($share) | if has("output") then .output |= within($share) else . end)]
   end) as $exchange
| ($exchange | measure) as $new
| ($old.size | plus($new)) as $size
| if $size.bytes <= $in.max_chars and $size.stored <= $in.most then $old + {messages: ($old.messages + $exchange), size: $size}
  else
    (if $old.dropped > 0 then $old.pinned + 1 else $old.pinned end) as $first
    | [range($first; $old.messages | length; 2) | $old.messages[.:. + 2]] as $older
    | {bytes: ((($in.max_chars - $old.base.bytes) * $in.keep_chars / $in.max_chars) - $new.bytes),
       stored: ($room - $new.stored - 500)} as $left
    | (reduce ($older | reverse | .[]) as $x ({kept: [], left: $left, full: false};
        ($x | measure) as $n
        | if .full or $n.bytes > .left.bytes or $n.stored > .left.stored then .full = true
          else {kept: ([$x] + .kept), left: {bytes: (.left.bytes - $n.bytes), stored: (.left.stored - $n.stored)}, full: false} end
      )) as $tail
    | ($old.dropped + ($older | length) - ($tail.kept | length)) as $dropped
    | ($old.messages[:$old.pinned]
        + (if $dropped == 0 then [] else
            [{role: "user", message: ("[" + ($dropped | tostring) + " earlier tool exchanges were left out to keep this conversation within its budget.]")}]
          end)
        + ($tail.kept | add // []) + $exchange) as $messages
    | $old + {messages: $messages, size: ($messages | measure), dropped: $dropped}
  end
