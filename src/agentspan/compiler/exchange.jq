# What one turn adds to the transcript: the calls and their results. `full` says that the next segment has to trim it.
def measure: tojson | utf8bytelength as $n | {bytes: $n, stored: ($n + ($n - length) * 8 / 3)};
def within($most): measure as $n
  | if $n.stored <= $most then . else {error: ("[" + ($n.bytes | tostring) + " bytes: too large to be shown here]")} end;
def tool_name: gsub("[^a-zA-Z0-9_-]"; "_")[:64] | if . == "" then "_" else . end;
. as $in
| [($in.calls | to_entries[])
    | .value as $call
    | ($in.ref + "_" + ((.key + 1) | tostring)) as $forked
    | (if $call.task == null then $call
       elif $in.mode == "one" then $in.one
       else $in.many[$forked] end) as $out
    | {taskReferenceName: $call.id, name: ($call.name | tool_name), type: "SIMPLE", inputParameters: {},
       output: (if $out | type == "object" and has("result") then {result: $out.result}
                else {error: (($out.error? // $in.reason) // "The tool gave no result: every worker that ran it died, or it timed out.")} end)}
  ] as $results
| (if $in.mode == "again" or $in.mode == "failed" then
     (if $in.note == null then [] else
       [{role: "assistant", message: "[an answer that did not arrive whole]"}, {role: "user", message: $in.note}] end)
   else
   [{role: "tool_call", toolCalls: [$in.calls[]
      | {taskReferenceName: .id, name: (.name | tool_name), type: "SIMPLE", inputParameters: .args}]},
   {role: "tool", toolCalls: $results}] end) as $said
# What cannot fit, beside what is never trimmed or beside what this segment holds already, is said to be left out.
| ([$in.most - $in.base.stored, $in.most_passed_on - $in.size.stored] | min) as $room
| (if ($said | measure).stored <= $room then $said
   else (($room / 2 / ($in.calls | length) | floor) - 200) as $share
     | [$said[] | .toolCalls |= map(.inputParameters |= within($share) | if has("output") then .output |= within($share) else . end)]
   end) as $exchange
| ($exchange | measure) as $new
| {bytes: ($in.size.bytes + $new.bytes), stored: ($in.size.stored + $new.stored)} as $size
| {messages: $exchange, size: $size, full: ($size.bytes > $in.max_chars or $size.stored > $in.most)}
