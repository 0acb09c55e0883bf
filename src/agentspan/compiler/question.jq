# Whether what a model asks a person fits the tool's JSON Schema, without the marks of texts; or why it does not.
def fits($s; $defs):
. as $v | type as $t
| if ($s | type) == "boolean" then $s
  elif $s["$ref"] then fits($defs[$s["$ref"] | ltrimstr("#/$defs/")]; $defs)
  else
    ($s.type == null or any([$s.type] | flatten | .[]; . == $t or (. == "integer" and $t == "number" and ($v | floor) == $v)))
    and ($s.enum == null or any($s.enum[]; . == $v))
    and (($s | has("const") | not) or $s.const == $v)
    and ($s.anyOf == null or any($s.anyOf[]; . as $o | $v | fits($o; $defs)))
    and ($s.oneOf == null or ([$s.oneOf[] | . as $o | select($v | fits($o; $defs))] | length) == 1)
    and ($s.not == null or ($v | fits($s.not; $defs) | not))
    and (if $t == "number" then
      ($s.minimum == null or $v >= $s.minimum) and ($s.maximum == null or $v <= $s.maximum)
      and ($s.exclusiveMinimum == null or $v > $s.exclusiveMinimum)
      and ($s.exclusiveMaximum == null or $v < $s.exclusiveMaximum)
      and ($s.multipleOf == null or ($v / $s.multipleOf | . - floor | . < 0.000000001 or . > 0.999999999))
    elif $t == "string" then
      ($s.minLength == null or ($v | length) >= $s.minLength) and ($s.maxLength == null or ($v | length) <= $s.maxLength)
    elif $t == "array" then
      ($s.minItems == null or ($v | length) >= $s.minItems) and ($s.maxItems == null or ($v | length) <= $s.maxItems)
      and (($s.uniqueItems // false | not) or ($v | unique | length) == ($v | length))
      and ($s.contains == null or any($v[]; fits($s.contains; $defs)))
      and ($s.prefixItems == null
        or all(range(0; [($s.prefixItems | length), ($v | length)] | min); . as $i | $v[$i] | fits($s.prefixItems[$i]; $defs)))
      and ($s.items == null or all($v[($s.prefixItems // [] | length):][]; fits($s.items; $defs)))
    elif $t == "object" then
      ($s.minProperties == null or ($v | length) >= $s.minProperties)
      and ($s.maxProperties == null or ($v | length) <= $s.maxProperties)
      and all($s.required // [] | .[]; . as $name | $v | has($name))
      and all($v | to_entries[]; . as $e | $s.properties[$e.key] as $p
        | if $p != null then ($e.value | fits($p; $defs))
          elif $s.additionalProperties != null then ($e.value | fits($s.additionalProperties; $defs))
          else true end)
    else true end)
  end;
. as $in
| ("text-" + $in.execution_id[:8] + ":") as $mark
| $in.schema as $schema
| ($schema["$defs"] // {}) as $defs
| ($in.args | walk(if type == "string" then ltrimstr($mark) else . end)) as $args
| ($args | with_entries(.key as $name | select(.value != null or any($schema.required[]; . == $name)))) as $given
| [$schema.required[] | . as $name | select($args[$name] == null and (($args | has($name) | not) or ($schema.properties[$name] as $p | null | fits($p; $defs) | not)))] as $lacks
| ([$lacks[] | . + ": missing"]
  + [$given | to_entries[] | .key as $name | .value as $value | $schema.properties[$name] as $p
    | select(any($lacks[]; . == $name) | not)
    | if $p == null then (if $in.closed then $name + ": unknown" else empty end)
      elif ($value | fits($p; $defs)) then empty
      else $name + ": does not fit " + ($p | if type == "object" then del(.description) else . end | tojson)
        + (if ($value | type == "object" or type == "array") then
          "; a text that begins like JSON is changed on its way: send it again with " + $mark + " before it" else "" end)
      end]) as $problems
| if $problems == [] then {args: $args} else {mode: "refuse", error: ("Not asked: " + ($problems | join("; ")))} end
