/* The tables of a file of cases, and the schemas of those keys that are more than an option: members, into the open
 * object. */
#pragma once

#include "base/option.h"

extern const struct option_map case_file_map, case_map;		/* cases.c */
extern const struct option_map case_step_map, case_effect_map;	/* cases_stage.c */
extern const struct option_map case_act_map;			/* cases_people.c */
extern const struct option_map case_expect_map, case_event_map; /* cases_expect.c */

void case_map_schema(struct json_writer *w);	/* any map */
void case_any_schema(struct json_writer *w);	/* any value */
void case_list_schema(struct json_writer *w);	/* the cases */
void case_stages_schema(struct json_writer *w); /* STAGE → what it does */
void case_effects_schema(struct json_writer *w);
void case_people_schema(struct json_writer *w);
void case_expect_schema(struct json_writer *w);
void case_events_schema(struct json_writer *w);
void case_calls_schema(struct json_writer *w);	 /* STAGE → number */
void case_results_schema(struct json_writer *w); /* STAGE → map */
