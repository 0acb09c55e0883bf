# The member that was named, alone or as a word of a sentence; the first one where none was.
. as $in
| (if ($in.said | type) == "object" then words($in.said) else ($in.said | tostring) end | gsub("^\\s+|\\s+$"; "")) as $text
| ($text | ascii_downcase) as $low
| ($low | gsub("[^a-z0-9_-]+"; " ") | split(" ")) as $words
| {name: ([$in.names[] | select(. == $text)][0]
          // [$in.names[] | select(ascii_downcase as $name | $words | index($name))][0]
          // ([$in.names[] | select(ascii_downcase as $name | $low | contains($name))] | sort_by(-length))[0]
          // $in.names[0])}
