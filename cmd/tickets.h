/* Tickets, as commands make and read them: by the files of factotum, which signs, and of the gate,
 * which knows the cell. In text a ticket is one line of hexadecimal digits. */
#ifndef COGNU_CMD_TICKETS_H
#define COGNU_CMD_TICKETS_H

#include "cmd.h"

#include <cognu/secure.h>

enum { TICKET_TEXT_BYTES = 2 * SECURE_TICKET_BYTES_MAX + 2 };

#define TICKET_KEY "owner" /* the user's key in factotum, as the adapter has it */

/* The key of the cell's member: kind is "node" or "user", name a name or the key itself. Does not
 * return when there is none. */
void tickets_member(const char *kind, const char *name, uint8_t key[SECURE_KEY_BYTES]);
/* The name of a key, or its hexadecimal digits. */
const char *tickets_name(const char *kind, const uint8_t key[SECURE_KEY_BYTES]);

/* Reads a ticket's file, "-" is standard input; text is its one line. */
void tickets_read(const char *path, struct secure_ticket *t, char text[TICKET_TEXT_BYTES]);

/* Signs by the user's key, as a first block or behind those of before (may be NULL); block's cell
 * and id are filled in. */
void tickets_sign(const char *key, struct secure_ticket_block *block, const char *before,
                  char text[TICKET_TEXT_BYTES]);

#endif
