# The first transcript of a segment: what the segment before it left, or the conversation so far and the prompt.
# When it is over budget it is trimmed here, in one large bite: oldest exchanges first, the newest always whole.
# Conductor stores a character beyond U+FFFF in 12 bytes instead of 4: `stored` is never less than it takes.
def measure: tojson | utf8bytelength as $n | {bytes: $n, stored: ($n + ($n - length) * 8 / 3)};
. as $in
| (if .transcript != null then .transcript
   else ((.history // []) + [{role: "user", message: .prompt}]) as $messages
     | ($messages | measure) as $size
     | {messages: $messages, pinned: ($messages | length), base: $size, size: $size, dropped: 0}
   end) as $old
| if ($old.messages | length) == $old.pinned or ($old.size.bytes <= $in.max_chars and $old.size.stored <= $in.most) then $old
  else
    (if $old.dropped > 0 then $old.pinned + 1 else $old.pinned end) as $first
    | $old.messages[-2:] as $newest
    | ($newest | measure) as $new
    | [range($first; ($old.messages | length) - 2; 2) | $old.messages[.:. + 2]] as $older
    | {bytes: ((($in.max_chars - $old.base.bytes) * $in.keep_chars / $in.max_chars) - $new.bytes),
       stored: ($in.most - $old.base.stored - $new.stored - 500)} as $left
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
        + ($tail.kept | add // []) + $newest) as $messages
    | $old + {messages: $messages, size: ($messages | measure), dropped: $dropped}
  end
