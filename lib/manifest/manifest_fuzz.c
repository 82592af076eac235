/* Fuzz target: any bytes are an error or a manifest that can be freed. */
#include <cognu/manifest.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest m;
    struct cg_errbuf eb = {0};
    if (manifest_parse("fuzz", "fuzz", data, size, &m, &eb) == CG_OK) {
        cg_assert(m.program != NULL && manifest_name_ok(m.program));
        manifest_fini(&m);
    } else {
        cg_assert(eb.text[0] != '\0' && m.text == NULL);
    }
    return 0;
}
