// People by the names and e-mail addresses of their golden records, however accents are written. It follows each commit a
// moment later, so that no write waits for it.
CREATE FULLTEXT INDEX profile_names IF NOT EXISTS FOR (p:Profile) ON EACH [
  p.`trait:first_name`, p.`trait:middle_name`, p.`trait:last_name`, p.`trait:full_name`, p.`trait:name`, p.`trait:email`
] OPTIONS {indexConfig: {`fulltext.analyzer`: 'standard-folding', `fulltext.eventually_consistent`: true}};
