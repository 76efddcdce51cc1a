// name: cannot_link/undoing
// summary: The cannot-links that hold because this change or act was undone.
// params: of: String
// returns: ids: List<String>
// access: read
// index: cannot_link_undoes
MATCH (c:CannotLink {undoes: $of}) WHERE c.lifted_at IS NULL
RETURN collect(c.id) AS ids
