# als_items with its default priors. Rscript items_stan.R
source(file.path(dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))), "common.R"))

d <- by_subject(table_of("items"))
answers <- as.matrix(d$table[, setdiff(names(d$table), c("subject", "arm", "time"))])
data <- list(n = d$n, n_rows = d$rows, n_items = ncol(answers), subject = d$subject, month = d$table$time, answer = answers,
             treated = as.numeric(d$arm == "treated"))
found <- sampled("items", list(data), c("third_cutpoint", "first_gap", "second_gap", "third_gap", "sd_level", "mean_slope", "slope_effect", "sd_slope",
                                        "correlation"), iter = 1000, adapt_delta = 0.9)
write_reference("items_stan", "same priors", by_stan(), found[[1]], c("rstan", "posterior"))
