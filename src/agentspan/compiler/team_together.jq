# What members beside each other have used together, as whoever comes after them takes it over.
. as $in
| $in.begun as $begun
| def all_of(at): reduce ($in.counted[] | at | to_entries[] | select(.value | type == "number")) as $each
    ($begun | at; .[$each.key] = ((.[$each.key] // 0) + $each.value - (($begun | at | .[$each.key]) // 0)));
  ([$in.counted[] | .spent.time // 0] | max) as $time
| ([$in.counted[] | select((.spent.time // 0) == $time)][0]) as $longest
| all_of(.limits) as $limits
| (all_of(.spent) + ({input_tokens_per_request: 0, time: $time} | with_entries(select($limits[.key] != null)))) as $spent
| all_of(.base.usage) as $usage
| all_of(.base) as $base
| {budget: {before: ($begun + {
    spent: $spent, limits: $limits, base: {usage: $usage, steps: $base.steps},
    started: $longest.started, waited: $longest.waited,
    warned: [$limits | to_entries[] | select($spent[.key] >= .value * $in.warn_at) | .key],
    ending: ([$begun, $in.counted[] | select(.ending == true)] | length > 0)})}}
