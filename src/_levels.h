/* GDCORE_SIMD=baseline|v3|v4 holds the kernels below what the processor could do.

   GCC's clones are chosen while the module is loaded: each resolver calls __cpu_indicator_init and
   reads the bits that it sets. The linker hands those calls to the wrapper below (--wrap in
   setup.py), which takes away the levels above the one asked for; what is asked for and not there
   stays off. The bits have no names in C, so they are found by asking: the one bit without which
   the answer is no. Resolvers run before the module can call other libraries: no libc, only the
   environment, which is data.
*/
#if defined(GD_DISPATCHED)

extern char **environ;
extern unsigned int __cpu_features2[];
int __real___cpu_indicator_init(void);

#define GD_PLAIN __attribute__((noinline, optimize("no-tree-loop-distribute-patterns"), \
    no_sanitize("address", "undefined"), no_profile_instrument_function))

/* 1, 3 or 4: the highest level that may answer. */
GD_PLAIN static int gd_most(void) {
    static const char key[] = "GDCORE_SIMD=";
    char **at, *text;
    int i;
    for (at = environ; at && *at; at++) {
        text = *at;
        for (i = 0; key[i] && text[i] == key[i]; i++) {}
        if (key[i]) continue;
        if (text[i] == 'b') return 1;
        if (text[i] == 'v' && text[i + 1] == '3') return 3;
    }
    return 4;
}

#define GD_WITHOUT(LEVEL) \
    for (i = 0; i < 96 && __builtin_cpu_supports(LEVEL); i++) { \
        const unsigned int all = __cpu_features2[i / 32]; \
        __cpu_features2[i / 32] = all & ~(1u << i % 32); \
        __asm__ volatile("" ::: "memory"); \
        if (__builtin_cpu_supports(LEVEL)) __cpu_features2[i / 32] = all; \
        __asm__ volatile("" ::: "memory"); \
    }

GD_PLAIN __attribute__((visibility("hidden"))) int __wrap___cpu_indicator_init(void) {
    const int known = __real___cpu_indicator_init();
    const int most = gd_most();
    int i;
    if (most < 4) GD_WITHOUT("x86-64-v4")
    if (most < 3) GD_WITHOUT("x86-64-v3")
    return known;
}

#endif
