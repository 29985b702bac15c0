-- What a user called a task; a search's verdict and a session's searches have the label of what began them.
ALTER TABLE tasks ADD COLUMN label TEXT;
