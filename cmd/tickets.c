/* tickets: see tickets.h. */
#include "tickets.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 4 };

static char *roster_text; /* read once */

/* The next line of the roster with its words; false at the end. */
static bool next_line(const char **at, char line[512], char *word[WORDS_MAX], int *words)
{
    if (**at == '\0') {
        return false;
    }
    size_t len = strcspn(*at, "\n");
    size_t keep = len < 511 ? len : 511;
    memcpy(line, *at, keep);
    line[keep] = '\0';
    *at += len + ((*at)[len] == '\n');
    *words = cg_tokenize(line, word, WORDS_MAX);
    return true;
}

static const char *roster(void)
{
    if (roster_text == NULL) {
        roster_text = cmd_read("/mnt/gate/roster");
    }
    return roster_text;
}

void tickets_member(const char *kind, const char *name, uint8_t key[SECURE_KEY_BYTES])
{
    char line[512], *word[WORDS_MAX];
    int words;
    for (const char *at = roster(); next_line(&at, line, word, &words);) {
        if (words >= 3 && strcmp(word[0], kind) == 0 &&
            (strcmp(word[2], name) == 0 || strcmp(word[1], name) == 0) &&
            secure_unhex(word[1], key, SECURE_KEY_BYTES)) {
            return;
        }
    }
    cmd_fail("%.64s: no %s of the cell has this name; they are in /mnt/gate/roster", name, kind);
}

const char *tickets_name(const char *kind, const uint8_t key[SECURE_KEY_BYTES])
{
    static char name[4][SECURE_KEY_BYTES * 2 + 1]; /* four may be in one sentence */
    static unsigned turn;
    char *hex = name[turn++ % CG_COUNT(name)], line[512], *word[WORDS_MAX];
    int words;
    secure_hex(key, SECURE_KEY_BYTES, hex);
    for (const char *at = roster(); next_line(&at, line, word, &words);) {
        if (words >= 3 && strcmp(word[0], kind) == 0 && strcmp(word[1], hex) == 0) {
            snprintf(hex, SECURE_KEY_BYTES * 2 + 1, "%s", word[2]);
            break;
        }
    }
    return hex;
}

static void decode(const char *name, const char *text, struct secure_ticket *t)
{
    uint8_t raw[SECURE_TICKET_BYTES_MAX];
    struct cg_errbuf eb = {0};
    size_t len = strlen(text) / 2;
    if (len == 0 || len > sizeof raw || !secure_unhex(text, raw, len)) {
        cmd_fail("%s: no ticket: that is one line of hexadecimal digits, from ticket make", name);
    }
    if (secure_ticket_decode(raw, len, t, &eb) != CG_OK) {
        cmd_fail("%s: %s; take it again from who made it", name, eb.text);
    }
}

void tickets_read(const char *path, struct secure_ticket *t, char text[TICKET_TEXT_BYTES])
{
    bool in = strcmp(path, "-") == 0;
    FILE *f = in ? stdin : fopen(path, "re");
    size_t n = f != NULL ? fread(text, 1, TICKET_TEXT_BYTES - 1, f) : 0;
    if (f == NULL) {
        cmd_fail("%s: %s; a ticket is a file that ticket make wrote", path, strerror(errno));
    }
    if (!in) {
        fclose(f);
    }
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    decode(path, text, t);
}

static void cell_id(char hex[33])
{
    const char *text = roster();
    if (strlen(text) < 37 || strncmp(text, "cell ", 5) != 0) {
        cmd_fail("/mnt/gate/roster: this node is in no cell; see pair(1)");
    }
    memcpy(hex, text + 5, 32);
    hex[32] = '\0';
}

static void rights_text(uint8_t rights, char out[4])
{
    size_t n = 0;
    static const struct {
        uint8_t bit;
        char letter;
    } each[] = {{NINEP_RIGHTS_READ, 'r'}, {NINEP_RIGHTS_WRITE, 'w'}, {NINEP_RIGHTS_EXEC, 'x'}};
    for (size_t i = 0; i < CG_COUNT(each); i++) {
        if (rights & each[i].bit) {
            out[n++] = each[i].letter;
        }
    }
    out[n] = '\0';
}

void tickets_sign(const char *key, struct secure_ticket_block *block, const char *before,
                  char text[TICKET_TEXT_BYTES])
{
    static char answer[TICKET_TEXT_BYTES + 256];
    char cell[33], id[33], holder[65], node[65], rights[4], numbers[96], *word[WORDS_MAX];
    struct cmd_line l = {0};
    struct secure_ticket t;
    cell_id(cell);
    cg_env_real.random(cg_env_real.ctx, block->id, sizeof block->id);
    secure_hex(block->id, sizeof block->id, id);
    secure_hex(block->holder, 32, holder);
    secure_hex(block->node, 32, node);
    rights_text(block->rights, rights);
    snprintf(numbers, sizeof numbers, "%s %" PRIu64 " %" PRIu64, block->grant ? "grant" : "final",
             block->not_before_s, block->expires_s);
    const char *first[] = {"ticket", key, cell, id, holder, rights};
    for (size_t i = 0; i < CG_COUNT(first); i++) {
        cmd_word(&l, first[i]);
    }
    if (cg_str_addf(&l.text, " %s", numbers) != CG_OK) {
        cmd_fail("no memory");
    }
    const char *last[] = {node, block->service, block->tree, block->path, before};
    for (size_t i = 0; i < CG_COUNT(last) && last[i] != NULL; i++) {
        cmd_word(&l, last[i]);
    }
    cmd_ask("/mnt/factotum/sign", l.text.data, answer, sizeof answer);
    cg_str_fini(&l.text);
    if (cg_tokenize(answer, word, WORDS_MAX) != 3) {
        cmd_fail("/mnt/factotum/sign: its answer is not understood");
    }
    snprintf(text, TICKET_TEXT_BYTES, "%s", word[2]);
    decode("factotum's ticket", text, &t);
}
