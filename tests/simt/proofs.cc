// That sanitizers see the mistakes of kernels and of hosts, and nothing else. Each is run by
// itself, in a program compiled for the sanitizer, with the exit status that is due
// (CMakeLists.txt): names begin with Clean or Reported.
#include <memory>
#include <vector>

#include "tests/simt/gpu_fixture.h"
#include "tests/simt/proof_kernels.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Stream;

class Proof : public GpuTest {
 protected:
  void SwapWith(Between between) {
    const auto from = Upload(std::vector<float>(kProofThreads));
    const auto to = Allocate<float>(kProofThreads);
    SwapPairs(stream(), to.get(), from.get(), between);
    Download(to.get(), kProofThreads);
  }

  void LeaveNumbersOf(int blocks, bool apart) {
    const auto to = Allocate<float>(static_cast<size_t>(blocks));
    LeaveNumbers(stream(), to.get(), blocks, apart);
    stream().Synchronize();
  }

  void ReuseStageWith(bool barrier) {
    const auto from = Upload(std::vector<float>(2 * 4 * kProofThreads));
    const auto to = Allocate<float>(kProofThreads);
    ReuseStage(stream(), to.get(), from.get(), barrier);
    stream().Synchronize();
  }

  // Two streams write the same memory.
  void WriteFromTwoStreams(bool waits) {
    const auto to = Allocate<float>(32);
    const std::unique_ptr<Stream> other = gpu().MakeStream();
    Fill(stream(), to.get(), 32);
    if (waits) other->WaitFor(*stream().Record());
    Fill(*other, to.get(), 32);
    stream().Synchronize();
    other->Synchronize();
  }

  void FillTwice(bool waits_first) {
    const auto to = Allocate<float>(32);
    Fill(stream(), to.get(), 32);
    FillOverlapping(stream(), to.get(), 32, waits_first);
    stream().Synchronize();
  }

  // The host writes pinned memory that it gave to be copied.
  void WriteWhatIsCopied(bool waits) {
    const auto pinned = AllocatePinned<float>(1);
    const auto device = Allocate<float>(1);
    *pinned = 1;
    stream().CopyIn(device.get(), pinned.get(), sizeof(float));
    if (waits) stream().Synchronize();
    *pinned = 2;
    stream().Synchronize();
  }

  void FillPast(int floats) {
    const auto to = Allocate<float>(10);
    Fill(stream(), to.get(), 10 + floats);
    stream().Synchronize();
  }

  void FillSharedPast(int floats) {
    FillShared(stream(), kProofThreads + floats);
    stream().Synchronize();
  }
};

using SimtRaces = Proof;

TEST_F(SimtRaces, CleanWithABarrier) { SwapWith(Between::kSync); }
TEST_F(SimtRaces, CleanWithABarrierOfTheWarp) { SwapWith(Between::kSyncWarp); }
TEST_F(SimtRaces, ReportedWithoutABarrier) { SwapWith(Between::kNothing); }
TEST_F(SimtRaces, ReportedWithAShuffleInItsPlace) { SwapWith(Between::kShuffle); }
TEST_F(SimtRaces, ReportedWithABallotInItsPlace) { SwapWith(Between::kBallot); }

TEST_F(SimtRaces, CleanWhereBlocksWriteApart) { LeaveNumbersOf(3, true); }
TEST_F(SimtRaces, ReportedWhereBlocksWriteTheSame) { LeaveNumbersOf(3, false); }

TEST_F(SimtRaces, CleanWhereAStageIsReadBeforeItIsReused) { ReuseStageWith(true); }
TEST_F(SimtRaces, ReportedWhereAStageMayBeReusedBeforeItIsRead) { ReuseStageWith(false); }

TEST_F(SimtRaces, CleanWhereAStreamWaits) { WriteFromTwoStreams(true); }
TEST_F(SimtRaces, ReportedWhereStreamsDoNotWait) { WriteFromTwoStreams(false); }

TEST_F(SimtRaces, CleanWhereAnOverlappingKernelWaits) { FillTwice(true); }
TEST_F(SimtRaces, ReportedWhereAnOverlappingKernelDoesNotWait) { FillTwice(false); }

TEST_F(SimtRaces, CleanWhereTheHostWaits) { WriteWhatIsCopied(true); }
TEST_F(SimtRaces, ReportedWhereTheHostDoesNotWait) { WriteWhatIsCopied(false); }

using SimtBounds = Proof;

TEST_F(SimtBounds, CleanWithin) {
  FillPast(0);
  FillSharedPast(0);
}
TEST_F(SimtBounds, ReportedPastAllocatedMemory) { FillPast(1); }
TEST_F(SimtBounds, ReportedPastSharedMemory) { FillSharedPast(1); }

}  // namespace
}  // namespace ssmd::simt
