# als_slope with three arms, each with its own baseline, by REML in nlme. Rscript slopes_nlme.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))
suppressPackageStartupMessages(library(nlme))

table <- table_of("slopes")
table$arm <- factor(table$arm, levels = c("control", "treated", "historical control"))
fit <- lme(alsfrsr ~ arm * time, random = ~ time | subject, data = table, method = "REML", control = lmeControl(opt = "optim"))
fixed <- summary(fit)$tTable; spread <- as.numeric(VarCorr(fit)[, "StdDev"])
one <- function(row) list(estimate = fixed[row, "Value"], se = fixed[row, "Std.Error"])
write_reference("slopes_nlme", "likelihood", paste("nlme", packageVersion("nlme"), "REML"), list(
  mean_level = one("(Intercept)"), mean_slope = one("time"), "level_difference[1]" = one("armtreated"),
  "level_difference[2]" = one("armhistorical control"), "slope_effect[1]" = one("armtreated:time"),
  "slope_effect[2]" = one("armhistorical control:time"), sd_level = list(estimate = spread[1]), sd_slope = list(estimate = spread[2]),
  sd_residual = list(estimate = spread[3])), "nlme")
