-- One name for one thing, here as in the code.
ALTER TABLE courtlistener.permit_line RENAME TO permit_waiters;
ALTER TABLE courtlistener.ledgers RENAME COLUMN not_before TO held_until;
ALTER TABLE courtlistener.failures RENAME COLUMN not_before TO retry_after;
ALTER TABLE courtlistener.deferrals RENAME COLUMN not_before TO deferred_until;
