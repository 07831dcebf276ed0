#include "engine/text/chat_format.h"

#include <gtest/gtest.h>

namespace ssmd {
namespace {

TEST(PlainChat, AsksForTheAssistantsAnswer) {
  const ChatMessage messages[] = {{ChatRole::kSystem, "Be kind."},
                                  {ChatRole::kUser, "Hi"},
                                  {ChatRole::kAssistant, "Hello."},
                                  {ChatRole::kUser, "Bye"}};
  EXPECT_EQ(RenderPlainChat(messages, false),
            "System: Be kind.\nUser: Hi\nAssistant: Hello.\nUser: Bye\nAssistant:");
}

// A first turn, the answer up to the stop string, and a second turn are the whole conversation.
TEST(PlainChat, ContinuesAHistoryOnANewLine) {
  const ChatMessage first[] = {{ChatRole::kUser, "Hi"}};
  const ChatMessage second[] = {{ChatRole::kUser, "Bye"}};
  const ChatMessage all[] = {
      {ChatRole::kUser, "Hi"}, {ChatRole::kAssistant, "Hello."}, {ChatRole::kUser, "Bye"}};
  EXPECT_EQ(RenderPlainChat(first, false) + " Hello." + RenderPlainChat(second, true),
            RenderPlainChat(all, false));
}

// An answer that comes back as it was sampled is what the model has read.
TEST(PlainChat, AnAnswerThatBeginsWithSpaceGetsNoOther) {
  for (const char* answer : {" Hello.", "\nHello.", "\n\n Hello."}) {
    const ChatMessage first[] = {{ChatRole::kUser, "Hi"}};
    const ChatMessage all[] = {
        {ChatRole::kUser, "Hi"}, {ChatRole::kAssistant, answer}, {ChatRole::kUser, "Bye"}};
    EXPECT_EQ(RenderPlainChat(first, false) + answer + "\nUser: Bye\nAssistant:",
              RenderPlainChat(all, false));
  }
}

TEST(PlainChat, WhatTheOthersSayIsLeftAsItIs) {
  const ChatMessage messages[] = {{ChatRole::kSystem, " Be kind."}, {ChatRole::kUser, "\nHi"}};
  EXPECT_EQ(RenderPlainChat(messages, false), "System:  Be kind.\nUser: \nHi\nAssistant:");
}

TEST(PlainChat, StopsWhereTheUserWouldSpeak) {
  for (const std::string& stop : PlainChatStops()) EXPECT_EQ(stop.front(), '\n');
  EXPECT_EQ(PlainChatStops().front(), "\nUser:");
}

}  // namespace
}  // namespace ssmd
