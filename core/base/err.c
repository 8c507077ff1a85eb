/* Errors that a person will read: setting the text and adding context to it. */
#include "base/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	va_list ap;

	assert(code < 0);
	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
	char inner[ERR_TEXT_MAX], context[ERR_TEXT_MAX];
	va_list ap;

	assert(code < 0);
	if (!e)
		return code;
	snprintf(inner, sizeof inner, "%s", e->text[0] ? e->text : strerror(-code));
	va_start(ap, fmt);
	vsnprintf(context, sizeof context, fmt, ap);
	va_end(ap);
	e->code = code;
	if (snprintf(e->text, sizeof e->text, "%s: %s", context, inner) >= (int)sizeof e->text)
		memcpy(e->text + sizeof e->text - 4, "...", 4);
	return code;
}

const char *err_text(const struct err *e)
{
	if (!e || !e->code)
		return "no error";
	return e->text[0] ? e->text : strerror(-e->code);
}
