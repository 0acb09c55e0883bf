# How much of the budget is used before a turn, and whether a person is asked first.
. as $in
| ($in.after // {}) as $after
| ($after.before // {}) as $before
| ($after.decided // {}) as $decided
| (reduce (($decided.extend // {}) | to_entries[]) as $more ($before.limits // $in.limits; .[$more.key] += $more.value)) as $limits
| (reduce ($after.used // [])[] as $used ([$after.usage] | flatten | map(select(. != null and . != {})) | .[0] // {};
    reduce ($used | to_entries[] | select(.value | type == "number")) as $each (.; .[$each.key] = ((.[$each.key] // 0) + $each.value)))) as $usage
| ($before.spent // {}) as $old
| [($after.times // [])[] | select(. != null and . > 0)] as $times
| ($before.started // $times[0]) as $started
| (($before.waited // 0) + ($decided.waited // 0)) as $waited
| (($usage.prompt_tokens // 0) + ($usage.completion_tokens // 0)) as $tokens
| ({
    cost: ([$usage.cost // 0, $old.cost // 0] | max),
    tokens: ([$tokens, $old.tokens // 0] | max),
    input_tokens_per_request: ($after.prompt // 0),
    calls: (($old.calls // 0) + ([($after.calls // [])[] | select(. != null)] | length)),
    turns: ($after.step // $old.turns // 0),
    time: (if $times == [] then ($old.time // 0) else ([(($times | max) - $started) / 1000 - $waited, 0] | max) end)
  } | with_entries(select($limits[.key] != null))) as $spent
| [$limits | to_entries[] | select($spent[.key] >= .value) | .key] as $over
| (if $decided.extend then [] else ($before.warned // []) end) as $warned
| [$limits | to_entries[] | .key as $key | select($spent[$key] >= .value * $in.warn_at and ([$warned[], $over[]] | index($key)) == null) | $key] as $warn
| (($before.ending // false) or $decided.mode == "finish") as $ending
| {
    step: (($in.steps // 0) + $in.turn),
    mode: (if $over != [] and ($ending | not) then "over" else "on" end),
    spent: $spent, limits: $limits, over: $over, warn: $warn, warned: [($warned + $over + $warn)[]],
    started: $started, waited: $waited, ending: $ending
  }
