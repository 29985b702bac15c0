-- Why a schedule runs no more: the key of who created it was revoked. NULL: it runs.
ALTER TABLE schedules ADD COLUMN suspended TEXT;
