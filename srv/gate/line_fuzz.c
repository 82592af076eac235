/* Any bytes as each of the gate's lines. */
#include "line.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[LINE_BYTES_MAX], answer[LINE_BYTES_MAX];
    struct line_dial dial;
    struct line_ask ask;
    struct sockaddr_storage address;
    socklen_t len;
    size_t bytes;

    if (size < 1 || size >= sizeof(line)) {
        return 0;
    }
    memcpy(line, data + 1, size - 1);
    line[size - 1] = '\0';
    switch (data[0] % 6) {
    case 0:
        (void)line_parse_dial(line, &dial, NULL);
        break;
    case 1:
        (void)line_parse_ask(line, &ask, NULL);
        break;
    case 2:
        (void)line_parse_answer(line, NULL);
        break;
    case 3:
        (void)line_parse_roster(line, &bytes);
        break;
    case 4:
        (void)line_address(line, &address, &len, NULL);
        break;
    default:
        bytes = line_error(answer, CG_EIO, line);
        cg_assert(bytes == strlen(answer) && memchr(answer, '\n', bytes) == answer + bytes - 1);
    }
    return 0;
}
