/* Any text as an invitation: parsed or refused; what is parsed is written the same way again. */
#include <cognu/secure.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[512], again[SECURE_INVITE_TEXT_BYTES];
    struct secure_invite i;

    if (size < sizeof(text)) {
        memcpy(text, data, size);
        text[size] = '\0';
        if (secure_invite_parse(text, &i, NULL) == CG_OK) {
            cg_assert(secure_invite_text(&i, again) == CG_OK && strcmp(text, again) == 0);
        }
    }
    return 0;
}
