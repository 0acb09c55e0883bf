# Of a member beside others: what it has waited for their requests is no time of its own, and warnings are the look's
# at what all have used.
.after.decided = ((.after.decided // {}) + {waited: ((.after.decided.waited // 0) + (.after.idle // 0))})
