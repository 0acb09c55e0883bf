# What a member answered, without the mark that it may begin with; as text; and what several have used together.
def answer($said): $said.result as $result
  | if ($result | type) == "string" then $result | ltrimstr("text-" + ($said.subWorkflowId // "")[:8] + ":") else $result end;
def words($said): answer($said) | if type == "string" then . else tojson end;
def used($all): reduce ($all[] | .usage // {} | to_entries[] | select(.value | type == "number")) as $each
  ({}; .[$each.key] = ((.[$each.key] // 0) + $each.value));
