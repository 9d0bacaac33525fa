// Switching activity of the design as a SAIF file, where the library was built with Verilator's `--trace-saif`.

#if VM_TRACE_SAIF
#include "verilated_saif_c.h"
#endif

#include <cstdint>
#include <memory>
#include <stdexcept>

namespace {

#if VM_TRACE_SAIF
struct Activity {
    std::unique_ptr<VerilatedSaifC> file;
    uint64_t cycles = 0;

    explicit Activity(VerilatedContext& context) { context.traceEverOn(true); }
    // The state as it is now is the first; a null path ends the file.
    template <typename Model> void record(Model& model, const char* path) {
        file.reset();
        if (!path) return;
        file = std::make_unique<VerilatedSaifC>();
        model.trace(file.get(), 99);
        file->open(path);
        cycles = 0;
        file->dump(cycles);
    }
    // Once a cycle, when everything has settled: a net toggles at most once, and the clock never.
    void cycle() {
        if (file) file->dump(++cycles);
    }
};
#else
struct Activity {
    explicit Activity(VerilatedContext&) {}
    template <typename Model> void record(Model&, const char*) {
        throw std::runtime_error("the library was built without --trace-saif");
    }
    void cycle() {}
};
#endif

}  // namespace
