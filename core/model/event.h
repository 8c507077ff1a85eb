/* Events: immutable facts, what the journal holds and what everything else is folded from.
 *
 * The header (seq, time, order, kind, type, stage, attempt) stays for ever; the payload is JSON and can
 * be erased. Strings are borrowed: from the arena of the batch that made the event, or of the reader
 * that decoded it. */
#pragma once

#include "base/arena.h"
#include "model/facts.h"

/* Numbers are on disk: append only. */
enum event_kind {
	EVENT_ORDER_CREATED = 1,
	EVENT_STAGE_DONE = 2,	  /* type: the stage's `event` */
	EVENT_STAGE_SKIPPED = 3,  /* its condition said no */
	EVENT_STAGE_RETRYING = 4, /* holds error and due time */
	EVENT_ATTEMPT_LOST = 5,
	EVENT_STAGE_FAILED = 6,
	EVENT_STAGE_HELD = 7,
	EVENT_STAGE_RELEASED = 8,
	EVENT_STAGE_WAITING = 9,
	EVENT_STAGE_SIGNALLED = 10,
	EVENT_STAGE_UNDONE = 11, /* type: the stage's `undo_event` */
	EVENT_CANCEL_REQUESTED = 12,
	EVENT_ORDER_COMPLETED = 13,
	EVENT_ORDER_FAILED = 14,
	EVENT_ORDER_CANCELLED = 15,
	EVENT_STATE_ADJUSTED = 16,
	EVENT_PIPELINE_LOADED = 17,
	EVENT_STAGE_PAUSED = 18, /* an operator stopped the stage taking tasks */
	EVENT_STAGE_RESUMED = 19,
	EVENT_ORDER_MIGRATED =
		20,		 /* goes on with the generation that it names: migrate() folds it */
	EVENT_ORDER_ERASED = 21, /* of what its events said, only the remains are left: remains.h */
	EVENT_ORDER_ARCHIVED = 22,  /* likewise; a file has all of it */
	EVENT_ORDERS_ARCHIVED = 23, /* that file: its name, digest and range */
	EVENT_JOURNAL_RECOVERED =
		24, /* saved from a damaged file: its metadata lists the events that are missing */
	EVENT_KINDS
};

enum effect_kind { EFFECT_ADD, EFFECT_PUT, EFFECT_DELETE };

#define EFFECT_NO_FLOOR INT64_MIN

/* A change of Stageline's state that commits with its event. */
struct effect {
	enum effect_kind kind;
	struct str key;
	struct str json;      /* EFFECT_PUT */
	int64_t delta, floor; /* EFFECT_ADD */
};

struct event {
	struct event *next; /* in an event_list */

	/* header */
	int64_t seq; /* given by the journal */
	int64_t time_us;
	int64_t order_seq; /* seq of the order's first event; 0: not about an order */
	struct id order_id;
	enum event_kind kind;
	struct str type;  /* event_type as shown */
	struct str stage; /* name, or absent */
	uint32_t attempt; /* 0: not about an attempt */

	/* payload; absent or zero where the kind has no use for it */
	bool undo;    /* about the undo direction */
	bool suspect; /* ATTEMPT_LOST: the stage's code ran when the process died */
	bool unsure; /* STAGE_FAILED: no attempt had an answer, STAGE_SIGNALLED: it began, so it may have happened */
	struct str message;
	struct str metadata; /* JSON object: the stage's result */
	int64_t duration_ms; /* of the attempt; -1: none */
	int64_t due_us;	     /* wall time: when a retry is due, until when a wait lasts */
	struct str
		body; /* ORDER_CREATED, STAGE_RELEASED by edit: the order as placed, JSON object */
	struct str generation; /* ORDER_CREATED, PIPELINE_LOADED, ORDER_MIGRATED: digest */
	struct str key;	       /* ORDER_CREATED, STAGE_SIGNALLED: the Idempotency-Key */
	struct str action;     /* STAGE_RELEASED: retry, skip, discard */
	struct str reason;     /* why a person did it */
	struct str text;       /* PIPELINE_LOADED: the YAML */
	struct str removed;    /* "erased", "archived": this is what remains of the event */
	struct str
		kept; /* ORDER_ERASED, ORDER_ARCHIVED: digests of those remains, by journal/kept.h */
	const struct order_facts *facts; /* of `body`, where the maker knows them; not encoded */
	uint64_t awaited; /* STAGE_FAILED, CANCEL_REQUESTED: stages with an attempt out */
	struct effect *effects;
	size_t n_effects;
};

struct event_list {
	struct arena *arena; /* borrowed; events are allocated there */
	struct event *first, **last;
	size_t n;
};

void event_list_init(struct event_list *list, struct arena *arena);
/* A zeroed event at the end of the list (duration_ms -1); NULL without memory. */
struct event *event_list_add(struct event_list *list, enum event_kind kind);

/* What is fixed per kind. `type` is NULL where the pipeline names it. `status` is the word of the API. */
struct event_kind_info {
	const char *type, *status;
	bool is_terminal;
};
const struct event_kind_info *event_kind_info(enum event_kind kind);
/* A fixed event_type, which a pipeline must not give to a stage. */
bool event_type_is_reserved(struct str type);

/* The payload as canonical JSON: the same event gives the same bytes. */
void event_encode(const struct event *ev, struct buf *out);
/* Fills the payload fields from what event_encode() wrote; strings go to `arena`. -EINVAL, -ENOMEM. */
int event_decode(struct str payload, struct event *ev, struct arena *arena);

/* The event as the API shows it. */
void event_json(const struct event *ev, struct json_writer *w);
