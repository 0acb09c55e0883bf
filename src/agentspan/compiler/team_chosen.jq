# The member that was named, alone or in a sentence; the first one where none was.
. as $in
| (if ($in.said | type) == "object" then words($in.said) else ($in.said | tostring) end | gsub("^\\s+|\\s+$"; "")) as $text
| {name: ([$in.names[] | select(. == $text)][0] // [$in.names[] | select(. as $name | $text | contains($name))][0]
          // $in.names[0])}
