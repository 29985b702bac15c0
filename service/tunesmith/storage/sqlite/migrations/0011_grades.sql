-- A grade between the two that there were. SQLite changes no constraint of a column, so each column is made anew with
-- the values that it had; whoever was called proven stays so in these rows (see services/packages/regrading.py).
ALTER TABLE verdicts ADD COLUMN of_grade TEXT CHECK (of_grade IN ('criteria', 'tested', 'proven'));
UPDATE verdicts SET of_grade = grade;
ALTER TABLE verdicts DROP COLUMN grade;
ALTER TABLE verdicts RENAME COLUMN of_grade TO grade;

ALTER TABLE parameter_packages ADD COLUMN of_grade TEXT NOT NULL DEFAULT 'criteria'
    CHECK (of_grade IN ('criteria', 'tested', 'proven'));
UPDATE parameter_packages SET of_grade = grade;
ALTER TABLE parameter_packages DROP COLUMN grade;
ALTER TABLE parameter_packages RENAME COLUMN of_grade TO grade;

-- A package that was taken out of force for a while: it is revoked, and may come into force again as a new one.
ALTER TABLE parameter_packages ADD COLUMN suspended BOOLEAN NOT NULL DEFAULT FALSE;
