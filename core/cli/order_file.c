/* JSON that people hand over: a file or stdin. */
#include "cli/order_file.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"

enum { FILE_MAX = 16 << 20 };

static char *read_text(const char *name, size_t *ret_length)
{
	_cleanup_(buf_fini) struct buf text = {0};
	FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
	size_t n = 1;
	bool is_bad;

	if (!in) {
		fprintf(stderr, "stageline: error: '%s': %s\n", name, strerror(errno));
		return NULL;
	}
	while (n && text.len < FILE_MAX) {
		char *room = buf_reserve(&text, 1 << 16);

		n = room ? fread(room, 1, 1 << 16, in) : 0;
		text.len += n;
	}
	is_bad = ferror(in) || text.failed || text.len >= FILE_MAX;
	if (in != stdin)
		fclose(in);
	if (!is_bad)
		return buf_steal(&text, ret_length);
	fprintf(stderr, "stageline: error: '%s' cannot be read, or is too large\n", name);
	return NULL;
}

cJSON *json_file_read(const char *name)
{
	_cleanup_(freep) char *text = NULL;
	cJSON *json = NULL;
	struct err e = {0};
	size_t length;

	text = read_text(name, &length);
	if (!text)
		return NULL;
	if (json_parse((struct str){text, length}, JSON_DEPTH_MAX, &json, &e) == 0)
		return json;
	fprintf(stderr, "stageline: error: '%s' is not JSON: %s\n", name, err_text(&e));
	return NULL;
}

void order_keep_said(cJSON *order)
{
	static const char *const own[] = {"id", "status", "created_at", "updated_at",
		"completed_at", "error", "generation", "last_seq", "stages"};

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		cJSON_DeleteItemFromObjectCaseSensitive(order, own[i]);
}

cJSON *order_file_read(const char *name)
{
	cJSON *order = json_file_read(name), *inner;

	if (!order)
		return NULL;
	inner = cJSON_DetachItemFromObjectCaseSensitive(order, "order");
	if (inner) {
		cJSON_Delete(order);
		order = inner;
	}
	order_keep_said(order);
	return order;
}
